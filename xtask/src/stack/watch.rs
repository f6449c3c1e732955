//! Stops the stack when the task that started it ends, even if a signal ends it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use crate::failure::{Context, Outcome};
use crate::workspace::Workspace;

/// Waits for the other end of its pipe to close, which it does however this process ends.
const SCRIPT: &str = r#"cat > /dev/null; kill -TERM "$@" 2> /dev/null"#;

/// While this lives, the servers do; dropped, it stops them.
#[derive(Debug)]
pub(super) struct Watch {
    workspace: Workspace,
    watcher: Child,
}

impl Watch {
    pub(super) fn over(workspace: &Workspace, processes: &[u32]) -> Outcome<Watch> {
        let watcher = Command::new("sh")
            .args(["-c", SCRIPT, "watch"])
            .args(processes.iter().map(u32::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt on this terminal must not end it before it has done its work.
            .process_group(0)
            .spawn()
            .context(|| "cannot start `sh` to watch over the test stack".to_owned())?;
        Ok(Watch { workspace: workspace.clone(), watcher })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // First the watcher, so that it cannot signal a number that is somebody else's by then.
        // Without it, its `cat` ends as soon as the pipe does.
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        if let Err(failure) = super::stop(&self.workspace) {
            eprintln!("{}", failure.report());
        }
    }
}
