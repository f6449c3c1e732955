//! A session: what its client sends goes to PostgreSQL, rewritten; COPY, TRUNCATE and commands are done here.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc::Receiver;
use tokio_postgres::Client;

use crate::copy::{self, BadRow, Column, Copy, Failure, Format};
use crate::faults::{Action, Command, Faults, command};
use crate::iam::{self, Iam};
use crate::rewrite::{Refusal, rewrite};
use crate::s3::Storage;
use crate::sql::{Token, plain_literal, statements, text, words};
use crate::wire::{Frame, first_message, frames, write_first_message};

/// The codes of first messages that are no beginning of a session.
const SSL_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x30];
const CANCEL_REQUEST: [u8; 4] = [0x04, 0xd2, 0x16, 0x2e];

/// What all sessions share.
pub(crate) struct Shared {
    /// The port of PostgreSQL.
    pub(crate) upstream: u16,
    /// A connection for what is kept apart from transactions.
    pub(crate) admin: Client,
    /// The bucket.
    pub(crate) storage: Storage,
    /// Temporary users.
    pub(crate) iam: Iam,
    /// Faults to come.
    pub(crate) faults: Faults,
}

/// Serves one connection until either side ends it.
pub(crate) async fn serve(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    // A session begins with a length, whose first byte is 0.
    let mut first = [0];
    if client.peek(&mut first).await? == 1 && first == *b"P" {
        return iam::serve(client, shared).await;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let first = loop {
        let first = first_message(&mut from_client).await?;
        if !first.starts_with(&SSL_REQUEST) && !first.starts_with(&GSS_REQUEST) {
            break first;
        }
        // In the clear, on loopback.
        tokio::io::AsyncWriteExt::write_all(&mut to_client, b"N").await?;
    };
    let upstream = TcpStream::connect(("127.0.0.1", shared.upstream)).await?;
    upstream.set_nodelay(true)?;
    let (from_upstream, mut to_upstream) = upstream.into_split();
    write_first_message(&mut to_upstream, &first).await?;
    if first.starts_with(&CANCEL_REQUEST) {
        return Ok(());
    }
    let mut session = Session {
        application: application(&first),
        from_client: frames(from_client),
        to_client,
        from_upstream: frames(from_upstream),
        to_upstream,
        shared,
        process: 0,
        status: b'I',
        case_sensitive: false,
    };
    session.run().await
}

/// The name of the application, from the first message of a session: version, then names and values.
fn application(first: &[u8]) -> String {
    let mut parts = first.get(4..).unwrap_or_default().split(|byte| *byte == 0);
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        if name == b"application_name" {
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}

struct Session {
    application: String,
    from_client: Receiver<Frame>,
    to_client: OwnedWriteHalf,
    from_upstream: Receiver<Frame>,
    to_upstream: OwnedWriteHalf,
    shared: Arc<Shared>,
    process: i32,
    /// The state of the transaction, as PostgreSQL said it last.
    status: u8,
    case_sensitive: bool,
}

/// What PostgreSQL answered, up to "What next?".
#[derive(Debug, Default)]
struct Exchange {
    frames: Vec<Frame>,
}

impl Exchange {
    fn error(&self) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.kind == b'E')
    }

    fn rows(&self) -> Vec<Vec<Option<String>>> {
        self.frames.iter().filter(|frame| frame.kind == b'D').map(Frame::values).collect()
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side is gone")
}

impl Session {
    async fn run(&mut self) -> io::Result<()> {
        loop {
            tokio::select! {
                frame = self.from_client.recv() => {
                    let frame = frame.ok_or_else(gone)?;
                    match frame.kind {
                        b'Q' => self.query(&frame.text()).await?,
                        b'P' => self.prepare(frame).await?,
                        _ => frame.write(&mut self.to_upstream).await?,
                    }
                }
                frame = self.from_upstream.recv() => {
                    let frame = frame.ok_or_else(gone)?;
                    self.pass_on(frame).await?;
                }
            }
        }
    }

    /// Hands an answer to the client.
    async fn pass_on(&mut self, frame: Frame) -> io::Result<()> {
        match (frame.kind, &frame.body[..]) {
            (b'K', body) if body.len() >= 4 => {
                self.process = i32::from_be_bytes([body[0], body[1], body[2], body[3]]);
            }
            (b'Z', [status]) => self.status = *status,
            _ => {}
        }
        let frame = if frame.kind == b'E' { in_redshifts_words(frame) } else { frame };
        frame.write(&mut self.to_client).await
    }

    async fn answer(&mut self, frames: impl IntoIterator<Item = Frame>) -> io::Result<()> {
        for frame in frames {
            frame.write(&mut self.to_client).await?;
        }
        Ok(())
    }

    /// Runs a statement of our own on PostgreSQL and keeps its answer.
    async fn exchange(&mut self, sql: &str) -> io::Result<Exchange> {
        Frame::query(sql).write(&mut self.to_upstream).await?;
        let mut exchange = Exchange::default();
        loop {
            let frame = self.from_upstream.recv().await.ok_or_else(gone)?;
            if let (b'Z', [status]) = (frame.kind, &frame.body[..]) {
                self.status = *status;
                return Ok(exchange);
            }
            exchange.frames.push(frame);
        }
    }

    /// Answers with an error, after which a transaction is over as it would be with Redshift.
    async fn fail(&mut self, code: &str, message: &str, detail: &str) -> io::Result<()> {
        self.exchange("DO $stand_in$ BEGIN RAISE EXCEPTION 'failed'; END $stand_in$").await?;
        let status = self.status;
        self.answer([Frame::error(code, message, detail), Frame::ready(status)]).await
    }

    async fn refuse(&mut self, refusal: &Refusal) -> io::Result<()> {
        self.fail(refusal.code, &refusal.message, "").await
    }

    async fn query(&mut self, sql: &str) -> io::Result<()> {
        let statements = statements(sql);
        let action = statements
            .first()
            .and_then(|statement| self.shared.faults.take(&self.application, statement));
        match action {
            Some(Action::Fail { code, message, detail }) => {
                return self.fail(&code, &message, &detail).await;
            }
            Some(Action::LoseBefore) => return Err(gone()),
            Some(Action::LoseAfter) => {
                self.exchange(sql).await?;
                return Err(gone());
            }
            None => {}
        }
        if let [statement] = &statements[..] {
            match command(statement) {
                Ok(Some(command)) => return self.command(command).await,
                Ok(None) => {}
                Err(refusal) => return self.refuse(&refusal).await,
            }
            let first = words(statement);
            if first.first().is_some_and(|token| token.is("COPY")) {
                return self.copy(statement).await;
            }
            // Source: Amazon Redshift Database Developer Guide, "ALTER TABLE".
            if self.status == b'T'
                && first.first().is_some_and(|token| token.is("ALTER"))
                && first.iter().any(|token| token.is("TYPE"))
            {
                let words = "ALTER TABLE ALTER COLUMN cannot run inside a transaction block";
                return self.fail("25001", words, "").await;
            }
            if first.first().is_some_and(|token| token.is("TRUNCATE")) {
                return self.truncate(statement).await;
            }
        }
        match self.rewritten(&statements).await {
            Ok(sql) => Frame::query(&sql).write(&mut self.to_upstream).await,
            Err(refusal) => self.refuse(&refusal).await,
        }
    }

    /// A statement of the extended protocol: rewritten, where it is one that PostgreSQL runs.
    async fn prepare(&mut self, frame: Frame) -> io::Result<()> {
        let mut parts = frame.body.splitn(3, |byte| *byte == 0);
        let (name, sql, rest) = (
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
            parts.next().unwrap_or_default(),
        );
        let statements = statements(&String::from_utf8_lossy(sql));
        // What is refused becomes a statement that cannot be read; the client sees an error in its place.
        let sql = self.rewritten(&statements).await.unwrap_or_else(|refusal| refusal.message);
        let body = [name, &[0], sql.as_bytes(), &[0], rest].concat();
        Frame::new(b'P', body).write(&mut self.to_upstream).await
    }

    async fn rewritten(&mut self, statements: &[Vec<Token>]) -> Result<String, Refusal> {
        let mut texts = Vec::new();
        for statement in statements {
            let rewritten = rewrite(statement, self.case_sensitive)?;
            for (kind, bytes) in rewritten.types {
                let sql = format!("SELECT redshift.sized_type('{kind}', {bytes})");
                self.shared.admin.batch_execute(&sql).await.map_err(|error| Refusal {
                    code: "XX000",
                    message: format!("the stand-in: {error}"),
                })?;
            }
            let words = words(statement);
            if let [set, parameter, _, value] = words[..]
                && set.is("SET")
                && parameter.is("enable_case_sensitive_identifier")
            {
                self.case_sensitive = value.is("true") || value.is("on");
            }
            texts.push(rewritten.sql);
        }
        Ok(texts.join("; "))
    }

    async fn command(&mut self, command: Command) -> io::Result<()> {
        let status = self.status;
        match command {
            Command::Fault(fault) => {
                self.shared.faults.add(fault);
                self.answer([Frame::complete("STAND_IN"), Frame::ready(status)]).await
            }
            Command::Expire(user) => {
                match self.shared.iam.expire(&self.shared.admin, &user).await {
                    Ok(()) => {
                        self.answer([Frame::complete("STAND_IN"), Frame::ready(status)]).await
                    }
                    Err(error) => self.fail("XX000", &error.to_string(), "").await,
                }
            }
            Command::Assume(role) => match self.shared.storage.assume(&role).await {
                Ok(keys) => {
                    let [names, row] = Frame::row(&[
                        ("id", Some(&keys.id)),
                        ("secret", Some(&keys.secret)),
                        ("token", keys.token.as_deref()),
                    ]);
                    self.answer([names, row, Frame::complete("SELECT 1"), Frame::ready(status)])
                        .await
                }
                Err(reason) => self.fail("XX000", &reason, "").await,
            },
        }
    }

    /// Source: Amazon Redshift Database Developer Guide, "TRUNCATE": it commits the transaction in which it runs.
    async fn truncate(&mut self, statement: &[Token]) -> io::Result<()> {
        let sql = match rewrite(statement, self.case_sensitive) {
            Ok(rewritten) => rewritten.sql,
            Err(refusal) => return self.refuse(&refusal).await,
        };
        let in_transaction = self.status == b'T';
        let exchange = self.exchange(&sql).await?;
        let failed = exchange.error().is_some();
        if in_transaction && !failed {
            self.exchange("COMMIT").await?;
        }
        let status = self.status;
        self.answer(exchange.frames.into_iter().chain([Frame::ready(status)])).await
    }

    async fn copy(&mut self, statement: &[Token]) -> io::Result<()> {
        let copy = match copy::parse(statement, self.case_sensitive) {
            Ok(copy) => copy,
            Err(refusal) => return self.refuse(&refusal).await,
        };
        if self.status == b'E' {
            // PostgreSQL has the words for it.
            let exchange = self.exchange("SELECT 1").await?;
            let status = self.status;
            return self.answer(exchange.frames.into_iter().chain([Frame::ready(status)])).await;
        }
        let table = plain_literal(&copy.table);
        let exchange = self
            .exchange(&format!(
                "SELECT a.attname, redshift.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute AS a \
                 WHERE a.attrelid = {table}::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
            ))
            .await?;
        if let Some(error) = exchange.error() {
            let (error, status) = (error.clone(), self.status);
            return self.answer([error, Frame::ready(status)]).await;
        }
        let columns = exchange
            .rows()
            .into_iter()
            .filter_map(|row| {
                let mut row = row.into_iter().flatten();
                Some(Column { name: row.next()?, data_type: row.next()? })
            })
            .collect();
        let history = without_keys(statement);
        let loaded = match self.read(&copy, columns).await {
            Ok(loaded) => self.write(&copy, loaded).await?,
            Err(failure) => {
                self.exchange("DO $stand_in$ BEGIN RAISE EXCEPTION 'failed'; END $stand_in$")
                    .await?;
                Err(failure)
            }
        };
        let rows = loaded.as_ref().ok().copied();
        self.note(&history, rows).await?;
        match loaded {
            Ok(rows) => {
                // Within the transaction, so that it is undone with the rows.
                self.exchange(&format!(
                    "SELECT pg_catalog.set_config('redshift.last_copy_count', '{rows}', false)"
                ))
                .await?;
                let (name, status) = (name_of(&copy.table), self.status);
                let message = format!(
                    "Load into table '{name}' completed, {rows} record(s) loaded successfully."
                );
                // Source: Amazon Redshift Database Developer Guide, "PG_LAST_COPY_COUNT": the answer has no number.
                self.answer([
                    Frame::said(b'N', "INFO", "00000", &message, ""),
                    Frame::complete("COPY"),
                    Frame::ready(status),
                ])
                .await
            }
            Err(Failure::Said { message, detail }) => {
                let status = self.status;
                self.answer([Frame::error("XX000", &message, &detail), Frame::ready(status)]).await
            }
            Err(Failure::Row(bad)) => {
                self.keep(&copy, &bad).await?;
                let (name, status) = (name_of(&copy.table), self.status);
                let message = format!(
                    "Load into table '{name}' failed.  Check 'sys_load_error_detail' system table for details."
                );
                self.answer([Frame::error("XX000", &message, ""), Frame::ready(status)]).await
            }
        }
    }

    /// The rows of all files, from the bucket.
    async fn read(&self, copy: &Copy, table: Vec<Column>) -> Result<Loaded, Failure> {
        let columns = match &copy.columns {
            None => table,
            Some(names) => {
                let mut columns = Vec::new();
                for name in names {
                    let found = table.iter().find(|column| column.name == *name);
                    columns.push(found.cloned().ok_or_else(|| {
                        let message = format!(
                            "column \"{name}\" of relation \"{}\" does not exist",
                            name_of(&copy.table)
                        );
                        Failure::said(message, "")
                    })?);
                }
                columns
            }
        };
        let storage = &self.shared.storage;
        let keys = storage.keys(&copy.access).await?;
        let missing = |url: &str| {
            Failure::s3(
                "The specified key does not exist.",
                404,
                "NoSuchKey",
                &format!("Reading {url}"),
            )
        };
        let mut files = Vec::new();
        if copy.manifest {
            let list = storage.read(&keys, &copy.from).await?.ok_or_else(|| missing(&copy.from))?;
            for entry in copy::entries(&list, copy.format)? {
                match storage.read(&keys, &entry.url).await? {
                    None if entry.mandatory => return Err(missing(&entry.url)),
                    None => {}
                    Some(bytes) => {
                        let right = entry.bytes.is_none_or(|size| size == bytes.len() as u64);
                        if copy.format == Format::Parquet && !right {
                            return Err(Failure::said(
                                "Spectrum Scan Error",
                                format!(
                                    "code:      15001\ncontext:   {} has another length than its meta says",
                                    entry.url
                                ),
                            ));
                        }
                        files.push((entry.url, bytes));
                    }
                }
            }
        } else {
            for url in storage.list(&keys, &copy.from).await? {
                let bytes = storage.read(&keys, &url).await?.ok_or_else(|| missing(&url))?;
                files.push((url, bytes));
            }
            if files.is_empty() {
                let prefix = copy.from.trim_start_matches("s3://");
                return Err(Failure::said(
                    format!("The specified S3 prefix '{prefix}' does not exist"),
                    "",
                ));
            }
        }
        let mut loaded = Loaded { columns, text: Vec::new(), places: Vec::new() };
        for (url, bytes) in files {
            let rows = copy::rows(copy, &loaded.columns, &url, bytes)?;
            for (number, row) in (1 + copy.ignore_header..).zip(rows) {
                loaded.add(&row);
                loaded.places.push((url.clone(), number));
            }
        }
        Ok(loaded)
    }

    /// Brings rows into the table, in the transaction of the client.
    async fn write(&mut self, copy: &Copy, loaded: Loaded) -> io::Result<Result<u64, Failure>> {
        let names: Vec<String> = loaded
            .columns
            .iter()
            .map(|column| format!("\"{}\"", column.name.replace('"', "\"\"")))
            .collect();
        let sql = format!("COPY {} ({}) FROM STDIN", copy.table, names.join(", "));
        Frame::query(&sql).write(&mut self.to_upstream).await?;
        let mut error = None;
        loop {
            let frame = self.from_upstream.recv().await.ok_or_else(gone)?;
            match (frame.kind, &frame.body[..]) {
                (b'G', _) => {
                    for part in loaded.text.chunks(1 << 16) {
                        Frame::new(b'd', part).write(&mut self.to_upstream).await?;
                    }
                    Frame::new(b'c', []).write(&mut self.to_upstream).await?;
                }
                (b'E', _) => error = Some(frame),
                (b'Z', [status]) => {
                    self.status = *status;
                    break;
                }
                _ => {}
            }
        }
        Ok(match error {
            None => Ok(loaded.places.len() as u64),
            Some(error) => Err(failure_of(&error, &loaded)),
        })
    }

    /// Writes a COPY into the history, apart from the transaction.
    async fn note(&self, text: &str, rows: Option<u64>) -> io::Result<()> {
        let sql = format!(
            "INSERT INTO redshift.history (session, query_type, query_text, status, rows) VALUES ({}, 'COPY', {}, '{}', {})",
            self.process,
            plain_literal(text),
            if rows.is_some() { "success" } else { "failed" },
            rows.unwrap_or_default()
        );
        self.shared.admin.batch_execute(&sql).await.map_err(io::Error::other)
    }

    async fn keep(&self, copy: &Copy, bad: &BadRow) -> io::Result<()> {
        let texts = [
            &name_of(&copy.table),
            &bad.file,
            &bad.column,
            &bad.column_type,
            bad.value.as_deref().unwrap_or_default(),
            &bad.reason,
        ]
        .map(plain_literal);
        let [table, file, column, column_type, value, reason] = texts;
        let sql = format!(
            "INSERT INTO redshift.load_errors (session, table_name, file_name, line_number, column_name, column_type, value, \
             code, reason) VALUES ({}, {table}, {file}, {}, {column}, {column_type}, {value}, {}, {reason})",
            self.process, bad.line, bad.code
        );
        self.shared.admin.batch_execute(&sql).await.map_err(io::Error::other)
    }
}

/// Rows on their way from files to PostgreSQL.
struct Loaded {
    columns: Vec<Column>,
    /// The lines of PostgreSQL's COPY.
    text: Vec<u8>,
    /// Where each row was: its file, and its line there.
    places: Vec<(String, u64)>,
}

impl Loaded {
    fn add(&mut self, row: &[Option<String>]) {
        for (index, value) in row.iter().enumerate() {
            if index > 0 {
                self.text.push(b'\t');
            }
            match value {
                None => self.text.extend_from_slice(b"\\N"),
                Some(value) => {
                    for byte in value.bytes() {
                        match byte {
                            b'\\' => self.text.extend_from_slice(b"\\\\"),
                            b'\n' => self.text.extend_from_slice(b"\\n"),
                            b'\r' => self.text.extend_from_slice(b"\\r"),
                            b'\t' => self.text.extend_from_slice(b"\\t"),
                            byte => self.text.push(byte),
                        }
                    }
                }
            }
        }
        self.text.push(b'\n');
    }
}

/// What Redshift would say of an error in a row.
fn failure_of(error: &Frame, loaded: &Loaded) -> Failure {
    let fields = error.fields();
    let field = |kind: u8| fields.get(&kind).cloned().unwrap_or_default();
    let (code, context) = (field(b'C'), field(b'W'));
    if !code.starts_with("22") && !code.starts_with("23") {
        return Failure::said(field(b'M'), field(b'D'));
    }
    // `COPY players, line 3, column id: "abc"`
    let row = context
        .split_once(", line ")
        .and_then(|(_, rest)| rest.split([',', ':']).next()?.trim().parse::<usize>().ok());
    let place = row.and_then(|row| loaded.places.get(row.checked_sub(1)?));
    let (column, value) = match context.split_once(", column ") {
        Some((_, rest)) => {
            let (column, value) = rest.split_once(": ").unwrap_or((rest, ""));
            (column.to_owned(), Some(value.trim_matches('"').to_owned()))
        }
        None => (field(b'c'), None),
    };
    let column_type = loaded
        .columns
        .iter()
        .find(|known| known.name == column)
        .map_or_else(String::new, |known| known.data_type.clone());
    let shown = value.clone().unwrap_or_default();
    let first = shown.chars().next().unwrap_or(' ');
    let (number, reason) = match (code.as_str(), column_type.as_str()) {
        ("23514", _) | ("22001", _) => (1204, "String length exceeds DDL length".to_owned()),
        ("23502", _) => (1213, "Missing data for not-null field".to_owned()),
        (_, "date") => (1205, "Invalid Date Format - length must be 10 or more".to_owned()),
        (_, kind) if kind.starts_with("timestamp") => {
            (1206, "Invalid timestamp format or value [YYYY-MM-DD HH24:MI:SS]".to_owned())
        }
        ("22003", _) => (1216, "Overflow for the type of the column".to_owned()),
        (_, "double precision") => {
            (1208, format!("Invalid digit, Value '{first}', Pos 0, Type: Double"))
        }
        (_, "bigint") => (1207, format!("Invalid digit, Value '{first}', Pos 0, Type: Long")),
        (_, "integer") => (1207, format!("Invalid digit, Value '{first}', Pos 0, Type: Integer")),
        (_, "smallint") => (1207, format!("Invalid digit, Value '{first}', Pos 0, Type: Short")),
        (_, "boolean") => (1210, "Unknown boolean format".to_owned()),
        _ => (1207, format!("Invalid digit, Value '{first}', Pos 0, Type: Decimal")),
    };
    Failure::Row(Box::new(BadRow {
        file: place.map_or_else(String::new, |(file, _)| file.clone()),
        line: place.map_or(0, |(_, line)| *line),
        column,
        column_type,
        value,
        code: number,
        reason,
    }))
}

/// PostgreSQL's words where Redshift has others: texts that are too long are found by a check here.
fn in_redshifts_words(error: Frame) -> Frame {
    let fields = error.fields();
    let message = fields.get(&b'M').map_or("", String::as_str);
    if fields.get(&b'C').map(String::as_str) == Some("23514")
        && let Some((_, rest)) = message.split_once("value for domain ")
        && let Some((kind, _)) = rest.split_once(" violates")
    {
        let kind = kind.trim_start_matches("redshift.").trim_matches('"');
        return Frame::error("22001", &format!("value too long for type {kind}"), "");
    }
    error
}

/// The last part of a name, without quotes.
fn name_of(table: &str) -> String {
    let last = table.rsplit_once("\".").map_or(table, |(_, last)| last);
    let last = last.strip_prefix('"').unwrap_or(last);
    last.strip_suffix('"').unwrap_or(last).replace("\"\"", "\"")
}

/// The text of a statement as the history keeps it: without keys.
fn without_keys(statement: &[Token]) -> String {
    let mut kept: Vec<Token> = statement.to_vec();
    let mut after = false;
    for token in &mut kept {
        if ["CREDENTIALS", "SECRET_ACCESS_KEY", "SESSION_TOKEN"].iter().any(|word| token.is(word)) {
            after = true;
        } else if after && token.value().is_some() {
            token.text = "''".to_owned();
            after = false;
        }
    }
    text(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_keeps_no_keys() {
        let sql =
            "COPY t FROM 's3://b/k' CREDENTIALS AS 'aws_secret_access_key=canary' FORMAT AS CSV";
        let kept = without_keys(&statements(sql)[0]);
        assert_eq!(kept, "COPY t FROM 's3://b/k' CREDENTIALS AS '' FORMAT AS CSV");
    }

    #[test]
    fn an_error_in_a_row_is_told_by_its_place() {
        let loaded = Loaded {
            columns: vec![Column { name: "id".into(), data_type: "bigint".into() }],
            text: Vec::new(),
            places: vec![("s3://b/1".into(), 1), ("s3://b/2".into(), 7)],
        };
        let mut error = Frame::error("22P02", "invalid input syntax", "");
        error.body.pop();
        error.body.extend_from_slice(b"WCOPY t, line 2, column id: \"abc\"\0\0");
        let Failure::Row(bad) = failure_of(&error, &loaded) else { panic!("a row") };
        assert_eq!((bad.file.as_str(), bad.line, bad.column.as_str()), ("s3://b/2", 7, "id"));
        assert_eq!((bad.code, bad.value.as_deref()), (1207, Some("abc")));
    }

    #[test]
    fn a_text_that_is_too_long_is_refused_in_redshifts_words() {
        let error = Frame::error(
            "23514",
            "value for domain \"character varying(5)\" violates check constraint \"x\"",
            "",
        );
        let fields = in_redshifts_words(error).fields();
        assert_eq!(fields[&b'M'], "value too long for type character varying(5)");
        assert_eq!(name_of("\"d\".\"it's \"\"a\"\"\""), "it's \"a\"");
    }
}
