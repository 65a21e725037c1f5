//! System calls by seccomp: from the tables to programs of the kernel.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use super::calls::{ALLOWED, KILLED, Only};
use super::{Gap, Program};

/// Puts the filters of `program` on this thread and those it starts; `writes` when there is
/// somewhere to write to.
///
/// # Errors
///
/// When the machine is of a kind without filters, or the kernel does not accept them.
pub(super) fn apply(program: Program, writes: bool) -> Result<(), Gap> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    for filter in filters(program, writes, arch)? {
        apply_filter(&filter)?;
    }
    Ok(())
}

/// Several filters judge a call, and the strictest verdict counts. In the order to apply them: the
/// one that allows only what is listed would not allow another.
fn filters(
    program: Program,
    writes: bool,
    arch: TargetArch,
) -> Result<Vec<BpfProgram>, BackendError> {
    use SeccompAction::{Allow, Errno as Fail, KillProcess};

    let build = |rules, otherwise, on_match| {
        BpfProgram::try_from(SeccompFilter::new(rules, otherwise, on_match, arch)?)
    };
    let killed = KILLED
        .iter()
        .filter(|call| program == Program::Daemon || !call.broker)
        .map(|call| (call.number, vec![]))
        .collect();
    let mut filters = vec![build(killed, Allow, KillProcess)?];
    if program == Program::Daemon {
        // The flags of clone3(2) lie in memory, where no filter sees them; told that there is no
        // such call, the C library makes threads by clone(2), whose flags the table restricts.
        let clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
        filters.push(build(clone3, Allow, Fail(Errno::ENOSYS as u32))?);
        filters.push(build(allowed(writes)?, Fail(Errno::EPERM as u32), Allow)?);
    }
    Ok(filters)
}

fn allowed(writes: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules = BTreeMap::new();
    for call in ALLOWED.iter().filter(|call| writes || call.only != Only::WithState) {
        let only = match call.only {
            Only::ReadingUnlessState { .. } if writes => Only::Any,
            only => only,
        };
        rules.insert(call.number, conditions(only)?);
    }
    Ok(rules)
}

/// One rule for each way in which the arguments are right; none when they do not matter.
fn conditions(only: Only) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |argument, len, op, value| {
        SeccompRule::new(vec![SeccompCondition::new(argument, len, op, value)?])
    };
    match only {
        Only::Any | Only::WithState => Ok(Vec::new()),
        Only::Bits { argument, mask, value } => {
            Ok(vec![rule(argument, Len::Qword, Op::MaskedEq(mask), value)?])
        }
        Only::ReadingUnlessState { argument, mask } => {
            Ok(vec![rule(argument, Len::Dword, Op::MaskedEq(mask), 0)?])
        }
        Only::OneOf { argument, values } => {
            values.iter().map(|&value| rule(argument, Len::Dword, Op::Eq, value)).collect()
        }
        Only::OwnProcess { argument } => {
            Ok(vec![rule(argument, Len::Dword, Op::Eq, std::process::id().into())?])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_can_be_built() {
        let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
        let lengths = |program, writes| -> Vec<usize> {
            filters(program, writes, arch).unwrap().iter().map(Vec::len).collect()
        };
        let (reads, writes) = (lengths(Program::Daemon, false), lengths(Program::Daemon, true));
        assert_eq!(reads.len(), 3);
        assert!(writes[2] > reads[2], "more calls with somewhere to write to");
        let broker = lengths(Program::Broker, false);
        assert_eq!(broker.len(), 1);
        assert!(broker[0] < reads[0], "it needs some of the calls that end the daemon");
    }
}
