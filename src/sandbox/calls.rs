//! The tables of system calls, as data.
//!
//! A call in [`ALLOWED`] works, with the arguments its row asks for. A call in [`KILLED`] ends the
//! process: nothing of ours makes it, so whoever does is not us. Any other call fails with `EPERM`,
//! since a C library may try something new at any time and must only live without it.

use nix::libc;

/// A call that the daemon may make.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Its name.
    pub name: &'static str,
    /// Its number on this machine.
    pub number: i64,
    /// Who needs it, and for what.
    pub needed_by: &'static str,
    /// With which arguments.
    pub only: Only,
}

/// A call that ends the process.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// Its name.
    pub name: &'static str,
    /// Its number on this machine.
    pub number: i64,
    /// Whether the broker needs it.
    pub broker: bool,
}

/// With which arguments a call is allowed. Arguments count from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Only {
    /// With any.
    Any,
    /// When these bits of an argument have this value.
    Bits {
        /// Which argument.
        argument: u8,
        /// Which bits of it.
        mask: u64,
        /// What they must be.
        value: u64,
    },
    /// When an argument is one of these 32-bit values.
    OneOf {
        /// Which argument.
        argument: u8,
        /// What it may be.
        values: &'static [u64],
    },
    /// When an argument is the number of this process.
    OwnProcess {
        /// Which argument.
        argument: u8,
    },
    /// When these bits of an argument, which ask for more than reading, are not set; with any
    /// argument when there is somewhere to write to.
    ReadingUnlessState {
        /// Which argument.
        argument: u8,
        /// The bits.
        mask: u64,
    },
    /// With any, when there is somewhere to write to; otherwise not at all.
    WithState,
}

#[expect(clippy::cast_sign_loss, reason = "flags of the C library are signed and positive")]
const fn bits(flags: i32) -> u64 {
    flags as u64
}

/// No bit of `mask` in an argument.
const fn without(argument: u8, mask: i32) -> Only {
    Only::Bits { argument, mask: bits(mask), value: 0 }
}

/// Threads, never processes.
const THREAD: u64 = bits(libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND);
const NO_CODE: Only = without(2, libc::PROT_EXEC);
const READING: Only = Only::ReadingUnlessState {
    argument: 2,
    mask: bits(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC),
};
/// A stream connects by its first data with this flag.
const FAST_OPEN: i32 = libc::MSG_FASTOPEN;

macro_rules! allowed {
    ($($call:ident $needed_by:literal $(, $only:expr)?;)*) => {
        &[$(Allowed {
            name: stringify!($call).split_at(4).1,
            number: libc::$call,
            needed_by: $needed_by,
            only: { let _only = Only::Any; $(let _only = $only;)? _only },
        }),*]
    };
}

macro_rules! killed {
    ($broker:literal: $($call:ident)*) => {
        [$(Killed {
            name: stringify!($call).split_at(4).1,
            number: libc::$call,
            broker: $broker,
        }),*]
    };
}

/// What the daemon may do, once it has started. Calls that only one kind of machine has stand in
/// [`OF_THIS_MACHINE`].
#[rustfmt::skip]
const EVERYWHERE: &[Allowed] = allowed! {
    // Sockets that were passed in
    SYS_accept4            "tokio: clients over TCP, operators";
    SYS_getpeername        "frontend: who asks over TCP";
    SYS_getsockname        "std, claim: what a descriptor is";
    SYS_getsockopt         "tokio: whether a connection that the broker began has come about";
    SYS_recvfrom           "tokio: streams, servers' replies, channels";
    SYS_recvmmsg           "frontend: queries over UDP in batches";
    SYS_recvmsg            "egress: descriptors from the broker";
    SYS_sendmmsg           "frontend: answers over UDP in batches", without(3, FAST_OPEN);
    SYS_sendmsg            "egress, notify: requests with descriptors, the service manager", without(2, FAST_OPEN);
    SYS_sendto             "tokio: streams, queries to servers", without(3, FAST_OPEN);
    SYS_setsockopt         "frontend: no delay on streams, notify: time limits";
    SYS_shutdown           "tokio: end of a stream";
    SYS_socketpair         "egress: a channel for the rendezvous, tokio: signals", Only::OneOf { argument: 0, values: &[bits(libc::AF_UNIX)] };

    // Descriptors of any kind
    SYS_close              "std";
    SYS_fcntl              "std: close-on-exec, non-blocking, duplicates", Only::OneOf { argument: 1, values: FCNTL };
    SYS_ioctl              "std: non-blocking, close-on-exec, whether standard error is a terminal", Only::OneOf { argument: 1, values: IOCTL };
    SYS_ppoll              "nix, std: waiting for one descriptor";
    SYS_read               "std: configuration, tokio: wake-ups";
    SYS_readv              "tokio: streams";
    SYS_write              "std: log, tokio: wake-ups";
    SYS_writev             "std: log, tokio: streams";

    // The event loop
    SYS_epoll_create1      "tokio";
    SYS_epoll_ctl          "tokio";
    SYS_epoll_pwait        "tokio";
    SYS_epoll_pwait2       "tokio: timers finer than a millisecond, where it knows them";
    SYS_eventfd2           "tokio: wake-ups between threads";

    // The configuration, at the start and at each reload
    SYS_faccessat          "std: whether a file is there";
    SYS_faccessat2         "std: whether a file is there";
    SYS_fstat              "std: size of a file";
    SYS_getcwd             "std: absolute form of a relative path";
    SYS_getdents64         "glob: patterns of included files";
    SYS_lseek              "std: what is left of a file";
    SYS_newfstatat         "std, glob: what a path is";
    SYS_openat             "std: files, directories", READING;
    SYS_pread64            "std: files";
    SYS_readlinkat         "std: absolute form of a path";
    SYS_statx              "std, glob: what a path is";

    // Files of the state directory, where there is one
    SYS_fdatasync          "state: on disk before it is named", Only::WithState;
    SYS_fsync              "state: on disk before it is named", Only::WithState;
    SYS_ftruncate          "state: size of a file", Only::WithState;
    SYS_renameat           "state: a new file in the place of the old one", Only::WithState;
    SYS_renameat2          "state: a new file in the place of the old one", Only::WithState;
    SYS_unlinkat           "state: a file that was given up", Only::WithState;

    // Memory; nothing becomes executable
    SYS_brk                "allocator";
    SYS_madvise            "allocator, stacks of threads that ended";
    SYS_mmap               "allocator, stacks of threads", NO_CODE;
    SYS_mprotect           "allocator, guard pages of stacks", NO_CODE;
    SYS_mremap             "allocator: tables that grow";
    SYS_munmap             "allocator, stacks of threads that ended";

    // Threads
    SYS_clone              "std: workers", Only::Bits { argument: 0, mask: THREAD, value: THREAD };
    SYS_clone3             "C library: is told that there is none, and takes clone";
    SYS_exit               "C library: a thread ends";
    SYS_exit_group         "std: the process ends";
    SYS_futex              "std, tokio: locks, channels, joining threads";
    SYS_getpid             "C library: abort";
    SYS_gettid             "C library: abort; std: panics";
    SYS_prctl              "std: names of threads; C library: names of mappings", Only::OneOf { argument: 0, values: PRCTL };
    SYS_prlimit64          "C library: size of stacks; changes nothing", Only::Bits { argument: 2, mask: u64::MAX, value: 0 };
    SYS_rseq               "C library: start of a thread";
    SYS_sched_getaffinity  "C library: bounds of a stack";
    SYS_sched_yield        "std, C library: locks";
    SYS_set_robust_list    "C library: start of a thread";

    // Signals
    SYS_restart_syscall    "kernel: waiting goes on after SIGSTOP and SIGCONT";
    SYS_rt_sigaction       "tokio: SIGHUP, SIGTERM and others";
    SYS_rt_sigprocmask     "C library: start of a thread, abort";
    SYS_rt_sigreturn       "kernel: a handler returns";
    SYS_sigaltstack        "std: stack overflow is told";
    SYS_tgkill             "C library: abort", Only::OwnProcess { argument: 0 };

    // Time, where the machine cannot tell it without a call, and randomness
    SYS_clock_getres       "std";
    SYS_clock_gettime      "std, tokio";
    SYS_clock_nanosleep    "std: sleep";
    SYS_getrandom          "rand, ring, std: seeds";
    SYS_gettimeofday       "C library";
    SYS_nanosleep          "C library: sleep";
};

/// The older form of some of them, which its C library prefers.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OF_THIS_MACHINE: &[Allowed] = allowed! {
    SYS_access             "C library: whether a file is there";
    SYS_epoll_wait         "tokio";
    SYS_lstat              "C library: what a path is";
    SYS_poll               "nix, std: waiting for one descriptor";
    SYS_readlink           "std: absolute form of a path";
    SYS_rename             "state: a new file in the place of the old one", Only::WithState;
    SYS_stat               "C library: what a path is";
    SYS_time               "C library";
    SYS_unlink             "state: a file that was given up", Only::WithState;
};
/// The older form of some of them; this machine has none.
#[cfg(not(target_arch = "x86_64"))]
const OF_THIS_MACHINE: &[Allowed] = &[];

/// What the daemon may do, once it has started.
pub const ALLOWED: &[Allowed] =
    &joined::<{ EVERYWHERE.len() + OF_THIS_MACHINE.len() }>(EVERYWHERE, OF_THIS_MACHINE);

const FCNTL: &[u64] = &[
    bits(libc::F_DUPFD_CLOEXEC),
    bits(libc::F_GETFD),
    bits(libc::F_SETFD),
    bits(libc::F_GETFL),
    bits(libc::F_SETFL),
];
/// Not among them: what types into a terminal (`TIOCSTI`).
const IOCTL: &[u64] = &[libc::FIONBIO, libc::FIOCLEX, libc::TCGETS];
/// Not among them: what takes a layer away again (`PR_SET_DUMPABLE`).
const PRCTL: &[u64] = &[bits(libc::PR_SET_NAME), bits(libc::PR_SET_VMA)];

const fn joined<const N: usize>(first: &[Allowed], second: &[Allowed]) -> [Allowed; N] {
    let mut out = [first[0]; N];
    let mut at = 0;
    while at < N {
        out[at] = if at < first.len() { first[at] } else { second[at - first.len()] };
        at += 1;
    }
    out
}

/// The ways to a socket that nobody passed on, all of which the broker is for.
const SOCKETS: [Killed; 3] = killed!(true: SYS_socket SYS_bind SYS_connect);

/// Ways to a socket that not even the broker needs; to run other code or change that of others;
/// into the kernel.
const OTHERS: [Killed; 37] = killed! { false:
    SYS_listen
    SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_pidfd_getfd SYS_open_by_handle_at
    SYS_execve SYS_execveat
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_kcmp
    SYS_bpf SYS_perf_event_open SYS_userfaultfd
    SYS_add_key SYS_request_key SYS_keyctl
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_kexec_file_load
    SYS_mount SYS_umount2 SYS_pivot_root SYS_chroot SYS_unshare SYS_setns
    SYS_move_mount SYS_open_tree SYS_fsopen
    SYS_reboot SYS_swapon SYS_acct SYS_personality
};

/// What ends the process.
pub const KILLED: &[Killed] = &{
    let mut out = [SOCKETS[0]; SOCKETS.len() + OTHERS.len()];
    let mut at = 0;
    while at < out.len() {
        out[at] = if at < SOCKETS.len() { SOCKETS[at] } else { OTHERS[at - SOCKETS.len()] };
        at += 1;
    }
    out
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_allowed_gets_a_socket_or_a_program() {
        let forbidden = [
            "socket",
            "bind",
            "connect",
            "listen",
            "accept",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
            "execve",
            "execveat",
            "fork",
            "vfork",
            "ptrace",
            "kill",
            "setuid",
            "pidfd_getfd",
            "seccomp",
            "chmod",
            "mknod",
            "memfd_create",
        ];
        for call in ALLOWED {
            assert!(!forbidden.contains(&call.name), "{}", call.name);
            assert!(!call.needed_by.is_empty(), "{}", call.name);
        }
        assert_eq!(ALLOWED[0].name, "accept4", "names are those of the manual");
    }

    #[test]
    fn a_call_has_one_row() {
        let numbers: BTreeSet<_> =
            ALLOWED.iter().map(|call| call.number).chain(KILLED.iter().map(|c| c.number)).collect();
        assert_eq!(numbers.len(), ALLOWED.len() + KILLED.len());
    }

    #[test]
    fn the_broker_may_make_only_what_it_is_for() {
        let names: Vec<_> = KILLED.iter().filter(|c| c.broker).map(|c| c.name).collect();
        assert_eq!(names, ["socket", "bind", "connect"]);
    }

    #[test]
    fn calls_with_dangerous_arguments_are_restricted() {
        for name in ["clone", "fcntl", "ioctl", "mmap", "mprotect", "openat", "prctl", "socketpair"]
        {
            let row = ALLOWED.iter().find(|call| call.name == name).unwrap();
            assert!(!matches!(row.only, Only::Any | Only::WithState), "{name}");
        }
    }
}
