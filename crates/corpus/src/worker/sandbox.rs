//! Rights the child gives up before it looks at a byte, as far as the system lets it.
//!
//! Everywhere on Unix: address space, CPU time, file size, open files, core dumps. On Linux besides: new privileges,
//! life beyond the parent, all file system access (Landlock), and sockets, new programs and tracing (seccomp).

use crate::extract::Limits;

/// Limits this process for good. Returns the rights that could not be given up, in words.
#[cfg(target_os = "linux")]
pub fn enter(limits: &Limits) -> Vec<String> {
    use rustix::process::{Signal, set_parent_process_death_signal};

    let mut weak = resource_limits(limits);
    let mut note = |right: &str, result: Result<(), String>| {
        if let Err(error) = result {
            weak.push(format!("{right}: {error}"));
        }
    };
    note(
        "end with the parent",
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| e.to_string()),
    );
    note("new privileges", rustix::thread::set_no_new_privs(true).map_err(|e| e.to_string()));
    note("files", no_files());
    note("network", no_network());
    weak
}

#[cfg(all(unix, not(target_os = "linux")))]
pub fn enter(limits: &Limits) -> Vec<String> {
    let mut weak = resource_limits(limits);
    weak.push("files and network: this system has no filter the program could use".into());
    weak
}

#[cfg(not(unix))]
pub fn enter(_limits: &Limits) -> Vec<String> {
    vec!["memory, CPU time, files and network: this system has no limits the program could use".into()]
}

#[cfg(unix)]
fn resource_limits(limits: &Limits) -> Vec<String> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let bounds = [
        (Resource::As, limits.address_space, limits.address_space, "memory"),
        // The hard limit is later, so that the signal that names the cause comes first.
        (Resource::Cpu, limits.cpu_seconds, limits.cpu_seconds.saturating_add(2), "CPU time"),
        (Resource::Fsize, 0, 0, "file size"),
        (Resource::Nofile, 16, 16, "open files"),
        (Resource::Core, 0, 0, "core dumps"),
    ];
    let mut weak = Vec::new();
    for (resource, soft, hard, right) in bounds {
        if let Err(error) = setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) }) {
            weak.push(format!("{right}: {error}"));
        }
    }
    weak
}

/// No path can be opened any more; what is open stays so.
#[cfg(target_os = "linux")]
fn no_files() -> Result<(), String> {
    use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetStatus};

    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V3))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.restrict_self())
        .map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel has no Landlock".into()),
        _ => Ok(()),
    }
}

/// Sockets, new programs and tracing fail with "operation not permitted".
#[cfg(target_os = "linux")]
fn no_network() -> Result<(), String> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    let arch = std::env::consts::ARCH.try_into().map_err(|_| "unknown processor".to_string())?;
    let denied = denied_calls().iter().map(|&call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(rustix::io::Errno::PERM.raw_os_error() as u32);
    let filter = SeccompFilter::new(denied, SeccompAction::Allow, refuse, arch).map_err(|e| e.to_string())?;
    let program: BpfProgram = filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

#[cfg(target_os = "linux")]
fn denied_calls() -> &'static [i64] {
    &[
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_io_uring_setup,
        libc::SYS_bpf,
        libc::SYS_userfaultfd,
    ]
}
