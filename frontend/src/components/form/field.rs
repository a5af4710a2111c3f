//! A field of a form, described once: what it is called, what goes into it, and which rule it keeps.

use shared::{input::InputError, limits::Limit};

/// A rule of a field's text: the function of [`shared::input`] that the server reads the text with.
pub type Rule = fn(&str) -> Result<(), InputError>;

/// What goes into a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One line; with the type of its input element.
    Line(&'static str),
    /// A whole number.
    Number {
        /// The smallest.
        min: u32,
        /// The largest.
        max: u32,
    },
    /// One line that does not show and never comes back from the server.
    Secret,
    /// One of several options.
    Choice,
    /// Several lines; so many are in sight.
    Lines(u32),
}

/// A field.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name: the argument of the server function.
    pub name: &'static str,
    /// Its control's id.
    pub id: &'static str,
    /// Its label.
    pub label: &'static str,
    /// A sentence below it; empty for none.
    pub hint: &'static str,
    /// What goes into it.
    pub kind: Kind,
    /// What a number counts; empty for none.
    pub unit: &'static str,
    /// What it holds at first.
    pub initial: &'static str,
    /// Whether it must be filled in.
    pub is_required: bool,
    /// Whether it is written letter by letter: nothing is corrected in it.
    pub is_literal: bool,
    /// Whether it is shown in a monospaced font.
    pub is_mono: bool,
    /// How long it may be.
    pub max_length: Option<Limit>,
    /// What browsers may fill in.
    pub autocomplete: Option<&'static str>,
    /// The id of a text elsewhere that describes it.
    pub described_by: Option<&'static str>,
    /// Its rule. Without one the server alone judges it.
    pub rule: Option<Rule>,
}

impl Field {
    const fn of(kind: Kind, name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            id: name,
            label,
            hint: "",
            kind,
            unit: "",
            initial: "",
            is_required: false,
            is_literal: false,
            is_mono: false,
            max_length: None,
            autocomplete: None,
            described_by: None,
            rule: None,
        }
    }

    /// One line of text.
    pub const fn line(name: &'static str, label: &'static str) -> Self {
        Self::of(Kind::Line("text"), name, label)
    }

    /// One line for an input element of this type.
    pub const fn typed(input_type: &'static str, name: &'static str, label: &'static str) -> Self {
        Self::of(Kind::Line(input_type), name, label)
    }

    /// A whole number from `min` to `max`.
    pub const fn number(name: &'static str, label: &'static str, min: u32, max: u32) -> Self {
        Self::of(Kind::Number { min, max }, name, label)
    }

    /// A secret.
    pub const fn secret(name: &'static str, label: &'static str) -> Self {
        Self::of(Kind::Secret, name, label)
    }

    /// One of several options, which are known when the form is made.
    pub const fn choice(name: &'static str, label: &'static str) -> Self {
        Self::of(Kind::Choice, name, label)
    }

    /// Several lines, of which `rows` are in sight.
    pub const fn lines(name: &'static str, label: &'static str, rows: u32) -> Self {
        Self::of(Kind::Lines(rows), name, label)
    }

    /// With another id than its name, where the page has the name twice.
    pub const fn id(self, id: &'static str) -> Self {
        Self { id, ..self }
    }

    /// With a sentence below it.
    pub const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    /// With what the number counts.
    pub const fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// With what it holds at first.
    pub const fn initial(self, initial: &'static str) -> Self {
        Self { initial, ..self }
    }

    /// It must be filled in.
    pub const fn required(self) -> Self {
        Self {
            is_required: true,
            ..self
        }
    }

    /// Written letter by letter: no spelling is corrected and no letter made a capital.
    pub const fn literal(self) -> Self {
        Self {
            is_literal: true,
            ..self
        }
    }

    /// Literal, and in a monospaced font.
    pub const fn mono(self) -> Self {
        Self {
            is_literal: true,
            is_mono: true,
            ..self
        }
    }

    /// At most so long.
    pub const fn at_most(self, limit: Limit) -> Self {
        Self {
            max_length: Some(limit),
            ..self
        }
    }

    /// With what browsers may fill in.
    pub const fn autocomplete(self, autocomplete: &'static str) -> Self {
        Self {
            autocomplete: Some(autocomplete),
            ..self
        }
    }

    /// Described by a text elsewhere.
    pub const fn described_by(self, id: &'static str) -> Self {
        Self {
            described_by: Some(id),
            ..self
        }
    }

    /// With a rule.
    pub const fn rule(self, rule: Rule) -> Self {
        Self {
            rule: Some(rule),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::input;

    use super::*;

    #[test]
    fn a_rule_is_the_server_s() {
        const NAME: Field = Field::line("name", "Name").rule(|text| input::name("name", text).map(drop));
        let rule = NAME.rule.unwrap();
        assert_eq!(rule("Main"), Ok(()));
        assert_eq!(rule(" ").unwrap_err(), input::name("name", " ").unwrap_err());
    }
}
