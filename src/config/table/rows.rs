//! The notation of the tables.

/// A row of a table. `how` is one of
/// - `set(FIELD)`: the value replaces that field of the configuration,
/// - `push(FIELD)`: the value is added to that field,
/// - `call(FUNCTION)`: the function takes it; `list(FUNCTION)` when values add up,
/// - `forward(FIELD)`, `stub(FIELD)`, `copy(FIELD)`: a field of the zone the clause is about,
/// - `rules(RULE)`, `clause(RULE)`, `clauses(RULE)`: an option of policy, of `server:` or of the
///   clause of now; the plural when values add up,
/// - `kept(FIELD, WHY)`: as `set`, but nothing reads it yet,
/// - `partly(FIELD, WHY)`, `partly_forward(…)`, `partly_stub(…)`, `partly_list(FUNCTION, WHY)`: as
///   without `partly`, but it does not do all it says,
/// - `ignored(WHY)`, `ignored(WHY, MOOT)`, `ignored_list(WHY)`: checked and dropped.
macro_rules! rows {
    ($clause:ident: $($name:literal $shape:expr, $default:literal, $how:ident($($arg:tt)*); $help:literal)*) => {
        &[$($crate::config::table::Directive {
            clause: $crate::config::table::Clause::$clause,
            name: $name,
            shape: $shape,
            default: $default,
            list: $crate::config::table::rows::is_list!($how),
            status: $crate::config::table::rows::status!($how $($arg)*),
            help: $help,
            set: $crate::config::table::rows::setter!($how $($arg)*),
        }),*]
    };
}

macro_rules! is_list {
    (push) => {
        true
    };
    (list) => {
        true
    };
    (ignored_list) => {
        true
    };
    (partly_list) => {
        true
    };
    (rules) => {
        true
    };
    (clauses) => {
        true
    };
    ($other:ident) => {
        false
    };
}

macro_rules! status {
    (kept $field:ident, $why:expr) => { $crate::config::table::rows::status!(ignored $why) };
    (partly $field:ident, $why:expr) => { $crate::config::table::Status::Partly { why: $why } };
    (partly_forward $field:ident, $why:expr) => { $crate::config::table::Status::Partly { why: $why } };
    (partly_stub $field:ident, $why:expr) => { $crate::config::table::Status::Partly { why: $why } };
    (partly_list $function:path, $why:expr) => { $crate::config::table::Status::Partly { why: $why } };
    (ignored $why:expr, $moot:literal) => {
        $crate::config::table::Status::Ignored { why: $why, moot: Some($moot) }
    };
    (ignored $why:expr) => { $crate::config::table::Status::Ignored { why: $why, moot: None } };
    (ignored_list $why:expr) => { $crate::config::table::rows::status!(ignored $why) };
    ($how:ident $what:path) => { $crate::config::table::Status::Implemented };
}

macro_rules! setter {
    (set $field:ident) => {
        |draft, values| {
            draft.config.$field = $crate::config::draft::FromValues::from_values(values)?;
            Ok(())
        }
    };
    (push $field:ident) => {
        |draft, values| {
            draft.config.$field.push($crate::config::draft::FromValues::from_values(values)?);
            Ok(())
        }
    };
    (forward $field:ident) => {
        |draft, values| {
            if let Some(zone) = draft.forward_zones.last_mut() {
                zone.$field = $crate::config::draft::FromValues::from_values(values)?;
            }
            Ok(())
        }
    };
    (stub $field:ident) => {
        |draft, values| {
            if let Some(zone) = draft.stub_zones.last_mut() {
                zone.$field = $crate::config::draft::FromValues::from_values(values)?;
            }
            Ok(())
        }
    };
    (copy $field:ident) => {
        |draft, values| {
            if let Some(zone) = draft.copies.last_mut() {
                zone.$field = $crate::config::draft::FromValues::from_values(values)?;
            }
            Ok(())
        }
    };
    (kept $field:ident, $why:expr) => { $crate::config::table::rows::setter!(set $field) };
    (partly $field:ident, $why:expr) => { $crate::config::table::rows::setter!(set $field) };
    (partly_forward $field:ident, $why:expr) => { $crate::config::table::rows::setter!(forward $field) };
    (partly_stub $field:ident, $why:expr) => { $crate::config::table::rows::setter!(stub $field) };
    (partly_list $function:path, $why:expr) => { $function };
    (rules $rule:ident) => {
        |draft, values| {
            draft.policy.server($crate::config::policy_draft::Rule::$rule, values);
            Ok(())
        }
    };
    (clause $rule:ident) => {
        |draft, values| {
            draft.policy.clause($crate::config::policy_draft::Rule::$rule, values);
            Ok(())
        }
    };
    (clauses $rule:ident) => { $crate::config::table::rows::setter!(clause $rule) };
    (call $function:path) => { $function };
    (list $function:path) => { $function };
    (ignored $($why:tt)*) => { |_, _| Ok(()) };
    (ignored_list $why:expr) => { |_, _| Ok(()) };
}

pub(super) use rows;
pub(in crate::config) use {is_list, setter, status};
