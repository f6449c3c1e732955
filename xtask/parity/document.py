"""The list of the differences on purpose in `docs/parity.md`, held against the cases."""

BEGIN = "<!-- Written by `cargo xtask parity --write` from the cases. -->"
END = "<!-- End of what is written from the cases. -->"


def check(path, cases, everywhere, write):
    """Writes the list, or says that it is not that of the cases. Returns whether something is wrong."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        print(f"\n{path.name} lacks the marks between which the differences stand")
        return True
    now = f"{before}{BEGIN}\n\n{listed(cases, everywhere)}\n{END}{after}"
    if now == text:
        return False
    if write:
        path.write_text(now)
        print(f"\n{path.name} is written")
        return False
    print(f"\n{path.name} does not list the differences of the cases: run `cargo xtask parity --write`")
    return True


def listed(cases, everywhere):
    """The list, in Markdown."""
    lines = ["### In every load", ""]
    lines += [f"- **{one['about']}** {one['reason']}" for one in everywhere]
    for title, key in (
        ("In some rows", "differs"),
        ("Not compared yet", "skip"),
        ("Not on purpose, and known", "known_bug"),
    ):
        by_reason = {}
        for case in cases:
            if key in case:
                by_reason.setdefault(case[key], []).append(case)
        if not by_reason:
            continue
        lines += ["", f"### {title}", ""]
        for reason, group in by_reason.items():
            ids = ", ".join(dict.fromkeys(case["id"] for case in group))
            about = "; ".join(dict.fromkeys(case["about"] for case in group))
            lines.append(f"- {about[0].upper()}{about[1:]} ({ids}). {reason}")
    return "\n".join(lines) + "\n"
