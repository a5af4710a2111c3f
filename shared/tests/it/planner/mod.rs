//! The planner against what it promises: a world that is walked through by hand, a naive second opinion on arbitrary inputs,
//! the laws that every plan obeys, and a saboteur whom `check` must catch. `cargo xtask test --long` runs more of it.

mod apply;
mod arbitrary;
mod bucket;
mod check_catches;
mod laws;
mod operator;
mod oracle;
mod promises;
mod random;
mod renewal;
mod runs;
mod sabotage;
mod support;
mod sweep;
mod world;
