//! A function's zip: one program, always the same bytes for the same program.

use std::io::{Cursor, Write as _};

use anyhow::Result;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

/// What AWS starts in a zip of the runtime `provided.al2023`.
const ENTRY: &str = "bootstrap";

/// The zip's bytes. Its time is fixed (a zip's first, 1980-01-01), and so is the system that it says it is from.
pub fn pack(program: &[u8]) -> Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .system(System::Unix)
        .unix_permissions(0o755);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(ENTRY, options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use zip::ZipArchive;

    use super::{Cursor, ENTRY, pack};

    #[test]
    fn a_program_gives_the_same_bytes_each_time_and_comes_out_executable() {
        let program: Vec<u8> = (0..100_000_u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
        let packed = pack(&program).unwrap();
        assert_eq!(packed, pack(&program).unwrap());
        assert!(packed.len() < program.len() / 2);
        let mut archive = ZipArchive::new(Cursor::new(packed)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut entry = archive.by_name(ENTRY).unwrap();
        assert_eq!(entry.unix_mode().unwrap() & 0o777, 0o755);
        let mut unpacked = Vec::new();
        entry.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, program);
    }
}
