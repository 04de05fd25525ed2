//! The runner's output: lines of bounded length, in a file of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use runnersmith_types::Secret;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;

/// A longer line is cut.
pub(crate) const LINE_BYTES_MAX: usize = 16 * 1024;
/// A larger log is moved to `<log>.1`, which replaces the one before.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// A log file that is rotated once. Failing to write is not an error: a full disk must not end a job.
pub(crate) struct RunnerLog {
    path: PathBuf,
    file: Option<File>,
    written: u64,
    bytes_max: u64,
    secrets: Vec<Secret>,
}

impl RunnerLog {
    /// Opens the log; none of the secrets will be written to it.
    pub fn open(path: PathBuf, secrets: Vec<Secret>) -> Self {
        let mut log = Self { path, file: None, written: 0, bytes_max: LOG_BYTES_MAX, secrets };
        log.reopen();
        log
    }

    fn reopen(&mut self) {
        self.file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).ok();
        self.written = self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |meta| meta.len());
    }

    /// Writes one line.
    pub fn line(&mut self, line: &str) {
        let mut line = line.to_owned();
        for secret in &self.secrets {
            if !secret.expose().is_empty() {
                line = line.replace(secret.expose(), "***");
            }
        }
        line.push('\n');
        if self.written + line.len() as u64 > self.bytes_max {
            self.file = None;
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = fs::rename(&self.path, old);
            self.reopen();
        }
        if let Some(file) = &mut self.file
            && file.write_all(line.as_bytes()).is_ok()
        {
            self.written += line.len() as u64;
        }
    }
}

/// Returns a log's last lines, oldest first, from its last [`TAIL_BYTES_MAX`] bytes; none if there is no log. A line that begins before
/// them is left out.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn last_lines(path: &Path, max: usize) -> io::Result<Vec<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let begin = file.metadata()?.len().saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(begin))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if begin == 0 { &text[..] } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    let lines: Vec<&str> = whole.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(max)..].iter().map(|line| (*line).to_owned()).collect())
}

/// So much of a log's end is read for its last lines: more than twenty of the longest that are worth reading.
const TAIL_BYTES_MAX: u64 = 64 * 1024;

/// Sends a stream's lines, each cut to [`LINE_BYTES_MAX`], until its end or until nobody listens.
pub(crate) async fn forward_lines(mut stream: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut buffer = vec![0_u8; 8 * 1024];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        for &byte in &buffer[..read] {
            if byte == b'\n' {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                line.clear();
                if lines.send(text).await.is_err() {
                    return;
                }
            } else if line.len() < LINE_BYTES_MAX {
                line.push(byte);
            }
        }
    }
    if !line.is_empty() {
        let _ = lines.send(String::from_utf8_lossy(&line).into_owned()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_hides_secrets_and_is_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runner.log");
        let mut log = RunnerLog::open(path.clone(), vec![Secret::new("hunter2")]);
        log.bytes_max = 64;
        for n in 0..20 {
            log.line(&format!("line {n} with hunter2"));
        }
        let (new, old) =
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(dir.path().join("runner.log.1")).unwrap());
        assert!(new.len() <= 64 && old.len() <= 64, "{new}\n{old}");
        assert!(new.contains("line 19 with ***") && !new.contains("hunter2") && !old.contains("hunter2"));
    }

    #[test]
    fn the_last_lines_of_a_log_are_whole_and_none_where_there_is_no_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runner.log");
        assert_eq!(last_lines(&path, 3).unwrap(), Vec::<String>::new());
        fs::write(&path, "one\ntwo\n\nthree\nfour").unwrap();
        assert_eq!(last_lines(&path, 3).unwrap(), ["two", "three", "four"]);
        let long = "x".repeat(LINE_BYTES_MAX);
        fs::write(&path, format!("{}\nlast\n", [long.as_str(); 9].join("\n"))).unwrap();
        let lines = last_lines(&path, 20).unwrap();
        assert_eq!(
            (lines.len(), lines.last().map(String::as_str)),
            (4, Some("last")),
            "three whole ones fit before it"
        );
        assert!(lines[..3].iter().all(|line| *line == long));
    }

    #[tokio::test]
    async fn long_lines_are_cut_and_the_last_one_needs_no_newline() {
        let text = format!("a\r\n{}\nlast", "x".repeat(3 * LINE_BYTES_MAX));
        let (sender, mut lines) = mpsc::channel(8);
        forward_lines(text.as_bytes(), sender).await;
        assert_eq!(lines.recv().await.unwrap(), "a");
        assert_eq!(lines.recv().await.unwrap().len(), LINE_BYTES_MAX);
        assert_eq!(lines.recv().await.unwrap(), "last");
        assert!(lines.recv().await.is_none());
    }
}
