//! Writing to stdout and stderr, which may be closed, redirected or without colours.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::MultiProgress;

/// stderr, with the bars on it. What is written through it does not run into them.
#[derive(Clone, Debug)]
pub(super) struct Terminal {
    bars: MultiProgress,
    colours: bool,
}

impl Terminal {
    pub(super) fn new(no_colour: bool) -> Self {
        Self { bars: MultiProgress::new(), colours: !no_colour && io::stderr().is_terminal() }
    }

    /// Whether someone looks at stderr.
    pub(super) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether colours may be used.
    pub(super) fn has_colours(&self) -> bool {
        self.colours
    }

    /// The bars.
    pub(super) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Writes a line. That stderr is closed must not end a load.
    pub(super) fn say(&self, text: &str) {
        self.write(format!("{text}\n").as_bytes());
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        self.bars.suspend(|| {
            let _ = io::stderr().lock().write_all(bytes);
        });
    }

    /// Writes `error: …`.
    pub(super) fn error(&self, text: &str) {
        let word = if self.colours { "\x1b[1;31merror\x1b[0m" } else { "error" };
        self.say(&format!("{word}: {text}"));
    }

    /// Writes `warning: …`.
    pub(super) fn warning(&self, text: &str) {
        let word = if self.colours { "\x1b[1;33mwarning\x1b[0m" } else { "warning" };
        self.say(&format!("{word}: {text}"));
    }
}

/// Writes the result to stdout. A reader that has seen enough, as `head` does, is no failure.
pub(super) fn print(text: &str) -> bool {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    written.is_ok() || written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
