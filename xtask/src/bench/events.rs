//! The data: a public event log of nested rows, the same for the same number of rows.
//!
//! Eight kinds of events, 73 flattened columns, ten nested tables of which one is nested in another, lists of texts,
//! NULLs, unicode; columns that first appear at 30 % and a nested table that first appears at 60 % of the rows.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::random::Random;
use super::text::{Object, push_string};
use crate::failure::{Context, Outcome};
use crate::folder;
use crate::workspace::Workspace;

/// Changes when the data does, so that older files are not taken for it.
const EDITION: &str = "1";

const NAMES: [&str; 26] = [
    "ana", "bo", "chen", "dara", "élan", "fatima", "göran", "hana", "igor", "jürgen", "kofi",
    "léa", "mário", "nadia", "øyvind", "priya", "quinn", "rosa", "søren", "tomás", "ursula",
    "víctor", "wen", "ximena", "yuki", "zoë",
];
const WORDS: [&str; 55] = [
    "fix",
    "add",
    "remove",
    "update",
    "refactor",
    "merge",
    "release",
    "bump",
    "test",
    "docs",
    "parser",
    "loader",
    "schema",
    "table",
    "column",
    "index",
    "cache",
    "retry",
    "stream",
    "batch",
    "worker",
    "thread",
    "lock",
    "memory",
    "buffer",
    "parquet",
    "arrow",
    "json",
    "csv",
    "cursor",
    "state",
    "upsert",
    "naïve",
    "café",
    "über",
    "数据",
    "加载",
    "テスト",
    "проверка",
    "données",
    "🚀",
    "✅",
    "🐛",
    "handle",
    "edge",
    "case",
    "when",
    "null",
    "value",
    "is",
    "missing",
    "nested",
    "records",
    "copying",
    "twice",
];
const LANGUAGES: [&str; 12] = [
    "python",
    "rust",
    "go",
    "java",
    "typescript",
    "c",
    "c++",
    "kotlin",
    "ruby",
    "scala",
    "julia",
    "zig",
];
const LABELS: [&str; 12] = [
    "bug",
    "feature",
    "docs",
    "question",
    "wontfix",
    "duplicate",
    "perf",
    "security",
    "p0",
    "p1",
    "p2",
    "breaking",
];
const KINDS: [(&str, f64); 8] = [
    ("PushEvent", 0.45),
    ("PullRequestEvent", 0.17),
    ("IssuesEvent", 0.10),
    ("IssueCommentEvent", 0.10),
    ("WatchEvent", 0.08),
    ("CreateEvent", 0.06),
    ("ReleaseEvent", 0.02),
    ("GollumEvent", 0.02),
];

/// The file with this many events, written if it is not there yet.
pub(super) fn file(workspace: &Workspace, rows: u64) -> Outcome<PathBuf> {
    let folder = workspace.cache()?.join("bench").join(format!("events-{EDITION}"));
    let path = folder.join(format!("{rows}.jsonl"));
    if !path.is_file() {
        folder::create(&folder)?;
        eprintln!("bench: writing {rows} events to {}", path.display());
        write(&path, rows)?;
    }
    Ok(path)
}

/// Writes events row by row; the file appears when it is complete.
pub(super) fn write(path: &Path, rows: u64) -> Outcome {
    let partial = path.with_extension(format!("partial-{}", std::process::id()));
    let unwritable = || format!("cannot write {}", partial.display());
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&partial).context(unwritable)?);
    let mut text = String::new();
    for number in 0..rows {
        text.clear();
        push_event(&mut text, number, rows);
        text.push('\n');
        out.write_all(text.as_bytes()).context(unwritable)?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error).context(unwritable)?;
    fs::rename(&partial, path).context(|| format!("cannot rename {}", partial.display()))
}

/// Event `number` of `rows`. Each has random numbers of its own, so that an event does not depend on those before.
fn push_event(text: &mut String, number: u64, rows: u64) {
    let random = &mut Random::seeded(number);
    let place = number as f64 / rows as f64;
    let time = (number as f64 * (86_400.0 * 30.0 / rows as f64)) as u64;
    let kind = kind(random.unit());
    let repository = random.skewed(500_000);
    let mut event = Object::begin(text);
    event.string("id", &(40_000_000_000 + number).to_string());
    event.string("type", kind);
    event.value("public", true);
    event.string("created_at", &timestamp(time));
    user(event.object("actor"), random);
    {
        let mut object = event.object("repo");
        object.value("id", repository);
        object.string("name", &format!("org{}/repo{repository}", repository % 9973));
        object.string("url", &format!("https://api.example.com/repos/{repository}"));
    }
    payload(event.object("payload"), random, kind, time);
    if random.chance(0.3) {
        let mut object = event.object("org");
        object.value("id", repository % 9973);
        object.string("login", &format!("org{}", repository % 9973));
        object.string("url", "https://api.example.com/orgs/");
    }
    event.list("topics", random.below(4), |text| push_string(text, random.pick(&LANGUAGES)));
    {
        let mut object = event.object("metrics");
        if random.chance(0.9) {
            object.value("score", (random.unit() * 100_000.0).round() / 1000.0);
        } else {
            object.null("score");
        }
        object.value("latency_ms", random.below(30_000));
    }
    if place >= 0.3 {
        event.value("schema_version", 2);
        let mut object = event.object("client");
        object.string("name", random.pick(&LANGUAGES));
        let mut version = object.object("version");
        version.value("major", random.below(9));
        version.value("minor", random.below(30));
    }
    if place >= 0.6 {
        event.list("reactions", random.below(3), |text| {
            let mut object = Object::begin(text);
            object.string("content", random.pick(&["+1", "heart", "rocket", "👀"]));
            object.value("count", 1 + random.skewed(20));
        });
    }
}

fn kind(mut point: f64) -> &'static str {
    for (kind, probability) in KINDS {
        if point < probability {
            return kind;
        }
        point -= probability;
    }
    KINDS[KINDS.len() - 1].0
}

fn payload(mut payload: Object<'_>, random: &mut Random, kind: &str, time: u64) {
    match kind {
        "PushEvent" => push(payload, random),
        "PullRequestEvent" => pull_request(payload, random, time),
        "IssuesEvent" | "IssueCommentEvent" => {
            payload.string("action", random.pick(&["opened", "closed", "created"]));
            issue(payload.object("issue"), random, time);
            if kind == "IssueCommentEvent" {
                let mut comment = payload.object("comment");
                comment.value("id", random.bits(40));
                comment.string("body", &words(random, 5, 40));
                comment.string("created_at", &timestamp(time));
            }
        }
        "WatchEvent" => payload.string("action", "started"),
        "CreateEvent" => {
            payload.null("ref");
            payload.string("ref_type", "repository");
            payload.string("master_branch", "main");
            text_or_null(&mut payload, "description", random, 0.6, (2, 10));
            payload.string("pusher_type", "user");
        }
        "ReleaseEvent" => release(payload, random),
        _ => payload.list("pages", 1 + random.below(2), |text| {
            let mut page = Object::begin(text);
            page.string("page_name", &words(random, 1, 3));
            page.string("action", "edited");
            page.string("sha", &random.hexadecimal(40));
        }),
    }
}

fn push(mut payload: Object<'_>, random: &mut Random) {
    let commits = 1 + random.skewed(5);
    payload.value("push_id", random.bits(40));
    payload.value("size", commits);
    payload.value("distinct_size", commits);
    payload.string("ref", "refs/heads/main");
    payload.string("head", &random.hexadecimal(40));
    payload.string("before", &random.hexadecimal(40));
    payload.list("commits", commits, |text| {
        let mut commit = Object::begin(text);
        commit.string("sha", &random.hexadecimal(40));
        {
            let mut author = commit.object("author");
            author.string("email", &format!("{}@example.com", random.hexadecimal(16)));
            author.string("name", random.pick(&NAMES));
        }
        commit.string("message", &words(random, 3, 12));
        commit.value("distinct", random.chance(0.9));
        commit.list("files", random.below(4), |text| {
            let (folder, file) = (random.pick(&WORDS[..20]), random.pick(&WORDS[..28]));
            push_string(text, &format!("src/{folder}/{file}.rs"));
        });
    });
}

fn pull_request(mut payload: Object<'_>, random: &mut Random, time: u64) {
    let number = random.below(50_000);
    payload.string("action", random.pick(&["opened", "closed", "reopened"]));
    payload.value("number", number);
    let mut request = payload.object("pull_request");
    request.value("id", random.bits(40));
    request.string("state", random.pick(&["open", "closed"]));
    request.string("title", &words(random, 3, 9));
    text_or_null(&mut request, "body", random, 0.8, (5, 40));
    request.string("created_at", &timestamp(time.saturating_sub(random.below(1_000_000))));
    time_or_null(&mut request, "merged_at", random, 0.4, time);
    request.value("draft", random.chance(0.1));
    request.value("additions", random.below(5000));
    request.value("deletions", random.below(2000));
    request.value("changed_files", random.below(60));
    user(request.object("user"), random);
    labels(&mut request, random);
    request.list("requested_reviewers", random.below(3), |text| {
        let mut reviewer = Object::begin(text);
        reviewer.value("id", 10_000 + random.skewed(200_000));
        reviewer.string("type", "User");
    });
    {
        let mut head = request.object("head");
        head.string("ref", &format!("branch-{number}"));
        head.string("sha", &random.hexadecimal(40));
    }
    let mut base = request.object("base");
    base.string("ref", "main");
    base.string("sha", &random.hexadecimal(40));
}

fn issue(mut issue: Object<'_>, random: &mut Random, time: u64) {
    issue.value("id", random.bits(40));
    issue.value("number", random.below(50_000));
    issue.string("title", &words(random, 3, 9));
    issue.value("comments", random.skewed(80));
    issue.value("locked", false);
    user(issue.object("user"), random);
    labels(&mut issue, random);
    issue.list("assignees", random.below(2), |text| person(Object::begin(text), random));
    time_or_null(&mut issue, "closed_at", random, 0.5, time);
    issue.string("body", &words(random, 5, 30));
}

fn release(mut payload: Object<'_>, random: &mut Random) {
    payload.string("action", "published");
    let mut release = payload.object("release");
    release.value("id", random.bits(40));
    release.string("tag_name", &format!("v{}.{}", random.below(9), random.below(99)));
    release.value("prerelease", random.chance(0.2));
    release.list("assets", 1 + random.below(4), |text| {
        let mut asset = Object::begin(text);
        asset.value("id", random.bits(40));
        asset.string("name", &format!("build-{}.tar.gz", random.pick(&LANGUAGES)));
        asset.value("size", random.bits(28));
        asset.value("download_count", random.skewed(100_000));
        person(asset.object("uploader"), random);
    });
}

fn user(mut user: Object<'_>, random: &mut Random) {
    let number = random.skewed(200_000);
    let login = format!("{}-{number}", NAMES[number as usize % NAMES.len()]);
    user.value("id", 10_000 + number);
    user.string("login", &login);
    user.string("display_login", &login);
    user.string("gravatar_id", "");
    user.string("url", &format!("https://api.example.com/users/{login}"));
    user.string("avatar_url", &format!("https://avatars.example.com/u/{number}?"));
}

fn person(mut person: Object<'_>, random: &mut Random) {
    person.value("id", 10_000 + random.skewed(200_000));
    person.string("login", random.pick(&NAMES));
}

fn labels(object: &mut Object<'_>, random: &mut Random) {
    object.list("labels", random.below(3), |text| {
        let index = random.below(LABELS.len() as u64);
        let mut label = Object::begin(text);
        label.value("id", 1000 + index);
        label.string("name", LABELS[index as usize]);
        label.string("color", &format!("{:06x}", index * 7919));
        label.value("default", index < 3);
    });
}

fn text_or_null(
    object: &mut Object<'_>,
    key: &str,
    random: &mut Random,
    probability: f64,
    length: (u64, u64),
) {
    if random.chance(probability) {
        object.string(key, &words(random, length.0, length.1));
    } else {
        object.null(key);
    }
}

fn time_or_null(
    object: &mut Object<'_>,
    key: &str,
    random: &mut Random,
    probability: f64,
    time: u64,
) {
    if random.chance(probability) {
        object.string(key, &timestamp(time));
    } else {
        object.null(key);
    }
}

/// Between `least` and `most` words.
fn words(random: &mut Random, least: u64, most: u64) -> String {
    let count = least + random.below(most - least + 1);
    let words: Vec<&str> = (0..count).map(|_| random.pick(&WORDS)).collect();
    words.join(" ")
}

/// Seconds since the beginning of 2026, less than two months of them.
fn timestamp(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (month, day) = if days < 31 { (1, days + 1) } else { (2, days - 30) };
    format!("2026-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn events(rows: u64) -> Vec<String> {
        (0..rows)
            .map(|number| {
                let mut text = String::new();
                push_event(&mut text, number, rows);
                text
            })
            .collect()
    }

    #[test]
    fn events_are_json_of_the_size_that_the_figures_are_about() {
        let events = events(2000);
        let rows: Vec<Value> =
            events.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        let bytes: usize = events.iter().map(|text| text.len() + 1).sum();
        assert!(
            (1090..1170).contains(&(bytes / events.len())),
            "{} bytes a row",
            bytes / events.len()
        );
        let having = |key: &str| rows.iter().position(|row| row.get(key).is_some());
        assert_eq!((having("client"), having("reactions")), (Some(600), Some(1200)));
        for (kind, _) in KINDS {
            assert!(rows.iter().any(|row| row["type"] == kind), "no {kind}");
        }
    }

    #[test]
    fn events_are_the_same_again() {
        assert_eq!(events(50), events(50));
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(timestamp(0), "2026-01-01T00:00:00Z");
        assert_eq!(timestamp(31 * 86_400 + 3661), "2026-02-01T01:01:01Z");
    }
}
