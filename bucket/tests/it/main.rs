//! The client against lockbox: the contract, also with faults, and which answers are believed.

mod answers;
mod contract;
mod support;
