//! The distribution's files: scripts that start this program under the real programs' names.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// (path, mode, content).
fn files(exe: &Path, version: &str) -> Vec<(&'static str, u32, String)> {
    let exe = format!("'{}'", exe.to_string_lossy().replace('\'', r"'\''"));
    let program = |name: &str, role: &str| {
        format!(
            "#!/bin/bash\n# The process carries the real program's name.\nexec -a {name} {exe} fake-runner {role} \"$@\"\n"
        )
    };
    let script =
        |program: &str| format!("#!/bin/bash\ncd \"$(dirname \"$0\")\" || exit 1\nexec ./bin/{program} \"$@\"\n");
    vec![
        ("run.sh", 0o755, script("Runner.Listener")),
        ("config.sh", 0o755, script("Runner.Configure")),
        ("bin/Runner.Listener", 0o755, program("Runner.Listener", "listener")),
        ("bin/Runner.Configure", 0o755, program("Runner.Listener", "configure")),
        ("bin/Runner.Worker", 0o755, program("Runner.Worker", "worker")),
        ("bin/version", 0o644, format!("{version}\n")),
        ("externals/README", 0o644, "The real distribution keeps its Node.js here.\n".into()),
    ]
}

/// Writes the distribution into a directory, which is made if it is missing. `exe` must call [`crate::run`] for `fake-runner …`.
///
/// # Errors
/// What the file system says.
pub fn write_distribution(dir: &Path, exe: &Path) -> io::Result<()> {
    for (path, mode, content) in files(exe, env!("CARGO_PKG_VERSION")) {
        let path = dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, content)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// The content of `actions-runner-linux-x64-<version>.tar.gz`. The same arguments give the same bytes. `exe` must call [`crate::run`] for
/// `fake-runner …`.
#[must_use]
pub fn tarball(exe: &Path, version: &str) -> Vec<u8> {
    // Writing to memory does not fail; paths are short and of our own making.
    pack(exe, version).unwrap_or_default()
}

fn pack(exe: &Path, version: &str) -> io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default()));
    for (path, mode, content) in files(exe, version) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        tar.append_data(&mut header, path, content.as_bytes())?;
    }
    tar.into_inner()?.finish()
}
