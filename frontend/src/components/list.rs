//! A list that grows: what is shown of it, and the ways to the rest. Address and form alone: it works without JavaScript.

use leptos::prelude::*;
use leptos_router::{hooks::use_query_map, params::ParamsMap};
use shared::{
    api::{
        list::{ListQuery, Place},
        view::SourceName,
    },
    ids::SourceId,
};

use super::form::{Field, FormField, SelectOption};
use crate::error::ConsoleError;

/// What the address says of the lists on its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListAddress(Vec<(&'static str, String)>);

/// The names that filters have in an address.
const FILTERS: [&str; 4] = ["source", "from", "to", "expired"];

impl ListAddress {
    /// Reads the address, for lists whose places are called so (see [`Self::query`]).
    pub fn follow(lists: &'static [(&'static str, &'static str)]) -> Memo<Self> {
        let query = use_query_map();
        Memo::new(move |_| query.with(|query| Self::read(query, lists)))
    }

    fn read(query: &ParamsMap, lists: &[(&'static str, &'static str)]) -> Self {
        let names = FILTERS
            .into_iter()
            .chain(lists.iter().flat_map(|(older, newer)| [*older, *newer]));
        // An empty field of a form says nothing.
        let said = names.filter_map(|name| {
            Some((
                name,
                query.get_str(name).filter(|text| !text.is_empty())?.to_owned(),
            ))
        });
        Self(said.collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The query for the list whose places are called so.
    ///
    /// # Errors
    /// When the address holds something else than a filter; the error names the field.
    pub fn query(&self, (older, newer): (&str, &str)) -> Result<ListQuery, ConsoleError> {
        let wrong = |field: &str, what: &str| ConsoleError::field(field, format!("{field}: {what}"));
        let place = |name: &str| {
            let place = self.get(name).map(str::parse::<Place>).transpose();
            place.map_err(|_| {
                wrong(
                    name,
                    "this address leads to no place in the list. Begin with the newest.",
                )
            })
        };
        let day = |name: &str| {
            let day = self.get(name).map(str::parse).transpose();
            day.map_err(|_| wrong(name, "give a day as year-month-day, such as 2026-11-23."))
        };
        Ok(ListQuery {
            source: self
                .get("source")
                .map(str::parse::<SourceId>)
                .transpose()
                .map_err(|_| wrong("source", "choose one from the list."))?,
            from: day("from")?,
            to: day("to")?,
            older: place(older)?,
            newer: place(newer)?,
            limit: None,
            expired: self.get("expired") == Some("true"),
        })
    }

    /// The address of `page` with the same filters and places, but for one list's place.
    fn elsewhere(&self, page: &str, (older, newer): (&str, &str), to: Option<(&str, Place)>) -> String {
        let mut query = ParamsMap::new();
        for (name, value) in self.0.iter().filter(|(name, _)| *name != older && *name != newer) {
            query.insert((*name).to_owned(), value.clone());
        }
        if let Some((name, place)) = to {
            query.insert(name.to_owned(), place.to_string());
        }
        format!("{page}{}", query.to_query_string())
    }

    /// Whether anything is filtered.
    pub fn is_filtered(&self) -> bool {
        self.0.iter().any(|(name, _)| FILTERS.contains(name))
    }
}

const SOURCE: Field = Field::choice("source", "Source");
const FROM: Field = Field::typed("date", "from", "From (UTC)");
const TO: Field = Field::typed("date", "to", "To (UTC)");

/// The filters, as a form that leads to the same page.
#[component]
pub fn ListFilters(
    /// The page's address.
    #[prop(into)]
    page: String,
    /// What is chosen.
    address: ListAddress,
    /// What can be chosen.
    sources: Vec<SourceName>,
    /// Whether those that have expired can be asked for.
    #[prop(optional)]
    with_expired: bool,
) -> impl IntoView {
    let (is_filtered, expired) = (address.is_filtered(), address.get("expired") == Some("true"));
    let everything = page.clone();
    let chosen = address.get("source").unwrap_or_default().to_owned();
    let [from, to] = ["from", "to"].map(|name| address.get(name).unwrap_or_default().to_owned());
    let all = SelectOption::new("", "All sources");
    let names = sources.into_iter().map(|source| {
        let name = format!("{} on {}", source.name, source.hostname);
        SelectOption::new(source.id, name)
    });
    let options: Vec<_> = [all].into_iter().chain(names).collect();
    view! {
        <form method="get" action=page class="form filters" role="search" aria-label="Filters">
            <FormField field=SOURCE initial=chosen options />
            <FormField field=FROM initial=from />
            <FormField field=TO initial=to />
            {with_expired
                .then(|| {
                    view! {
                        <label class="check">
                            <input
                                type="checkbox"
                                name="expired"
                                value="true"
                                checked=expired
                            />
                            <span>"Expired ones too"</span>
                        </label>
                    }
                })}
            <div class="filters-end">
                <button type="submit" class="button">
                    "Show"
                </button>
                {is_filtered
                    .then(|| {
                        view! {
                            <a class="button quiet" href=everything>
                                "Show all"
                            </a>
                        }
                    })}
            </div>
        </form>
    }
    .into_any()
}

/// The ways from one page of a list to the others.
#[component]
pub fn Pager(
    /// What the list holds, for people who do not see where the links stand.
    label: &'static str,
    /// The page's address, with the list's anchor behind it.
    #[prop(into)]
    page: String,
    /// The anchor, with its sign.
    #[prop(optional)]
    anchor: &'static str,
    /// The filters and places.
    address: ListAddress,
    /// What the list's places are called.
    names: (&'static str, &'static str),
    /// Where older ones begin.
    older: Option<Place>,
    /// Where newer ones begin.
    newer: Option<Place>,
) -> impl IntoView {
    let (older_name, newer_name) = names;
    let to = |to: Option<(&str, Place)>| format!("{}{anchor}", address.elsewhere(&page, names, to));
    let is_moved = address.get(older_name).is_some() || address.get(newer_name).is_some();
    if !is_moved && older.is_none() {
        return ().into_any();
    }
    view! {
        <nav class="pager" aria-label=label>
            {is_moved
                .then(|| {
                    view! {
                        <a class="button small" href=to(None)>
                            "Newest"
                        </a>
                    }
                })}
            {newer
                .map(|place| {
                    view! {
                        <a class="button small" rel="prev" href=to(Some((newer_name, place)))>
                            "Newer"
                        </a>
                    }
                })}
            {older
                .map(|place| {
                    view! {
                        <a class="button small" rel="next" href=to(Some((older_name, place)))>
                            "Older"
                        </a>
                    }
                })}
        </nav>
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNS: (&str, &str) = ("older", "newer");
    const PLACE: &str = "7_00000000000000000000000000000007";

    fn address(pairs: &[(&str, &str)]) -> ListAddress {
        let mut query = ParamsMap::new();
        for (name, value) in pairs {
            query.insert((*name).to_owned(), (*value).to_owned());
        }
        ListAddress::read(&query, &[RUNS, ("earlier", "later")])
    }

    #[test]
    fn an_address_is_a_query_and_an_empty_field_says_nothing() {
        let query = address(&[
            ("source", ""),
            ("from", "2026-11-23"),
            ("expired", "true"),
            ("older", PLACE),
        ])
        .query(RUNS)
        .unwrap();
        assert_eq!((query.source, query.to, query.newer), (None, None, None));
        assert_eq!(query.from.unwrap().to_string(), "2026-11-23");
        assert_eq!(query.older.unwrap().to_string(), PLACE);
        assert!(query.expired);
        for (name, value) in [
            ("source", "acme"),
            ("from", "yesterday"),
            ("to", "2026-13-01"),
            ("newer", "7"),
        ] {
            let refused = address(&[(name, value)]).query(RUNS).unwrap_err();
            let ConsoleError::Refused { field, message } = refused else {
                panic!("{refused}");
            };
            assert_eq!(field.as_deref(), Some(name));
            assert!(!message.contains(value), "{message}");
        }
    }

    #[test]
    fn one_list_moves_and_the_other_stays() {
        let address = address(&[("from", "2026-11-23"), ("older", "1_x"), ("earlier", PLACE)]);
        let elsewhere = |to| {
            let address = address.elsewhere("/a", RUNS, to);
            address.replace("%2D", "-").replace("%5F", "_")
        };
        assert_eq!(
            elsewhere(Some(("newer", PLACE.parse().unwrap()))),
            format!("/a?from=2026-11-23&earlier={PLACE}&newer={PLACE}")
        );
        assert_eq!(elsewhere(None), format!("/a?from=2026-11-23&earlier={PLACE}"));
    }
}
