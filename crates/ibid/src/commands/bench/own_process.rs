//! What the system says about this process. Memory and reading may be unknown: other systems keep no such books.

use rustix::time::{ClockId, clock_gettime};
use std::{fs, path::Path};

/// Most memory that was resident at a time since [`reset_peak`], bytes: model file and KV cache included, the parsing
/// child not.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = field(&status, "VmHWM:")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Starts the peak from what is resident. Where that is refused, the peak is that of the whole process: never too low.
pub fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Seconds of all threads of this process on a core, since it began.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Bytes that this process made the disk deliver, all files together.
pub fn storage_bytes_read() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/io").ok()?, "read_bytes:")?.parse().ok()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Asks the system to drop a file's pages from its cache; the next read then comes from the disk. Only clean pages
/// can go: the file has to be synced.
#[cfg(target_os = "linux")]
pub fn forget_pages(path: &Path) -> std::io::Result<()> {
    let file = fs::File::open(path)?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}

#[cfg(not(target_os = "linux"))]
pub fn forget_pages(_: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "rchar: 12\nread_bytes: 4096\nVmHWM:\t  1234 kB\n";
        assert_eq!(field(text, "read_bytes:"), Some("4096"));
        assert_eq!(field(text, "VmHWM:"), Some("1234 kB"));
        assert_eq!(field(text, "bytes:"), None);
    }

    #[test]
    fn the_peak_is_at_least_what_was_touched() {
        let Some(before) = peak_resident_bytes() else { return };
        let touched = vec![1_u8; 64 << 20];
        let after = peak_resident_bytes().unwrap_or_default();
        assert!(after >= before && after >= touched.len() as u64, "{before} {after}");
    }
}
