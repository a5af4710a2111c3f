//! Retention from outside: the planner, the simulation, the tiers, and the worked example of the documents.

mod planner;
mod rounds;
mod simulate;
mod tiers;
mod worked_example;
