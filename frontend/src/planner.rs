//! The planner for scripts of the console's own pages: the same function as `holdfast simulate`, in the browser.

use shared::retention::{self, Simulation};

/// Simulates: JSON in, the timeline as JSON out. An error is one line that names the field.
///
/// # Errors
/// What does not parse, or is out of range.
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn simulate(simulation: &str) -> Result<String, String> {
    let simulation: Simulation = serde_json::from_str(simulation).map_err(|error| error.to_string())?;
    let timeline = retention::simulate(&simulation).map_err(|error| error.to_string())?;
    serde_json::to_string(&timeline).map_err(|error| error.to_string())
}
