//! Search: finding rows by words of their names, addresses and references.
//!
//! The words of a row are rows of the table `search_terms`, written with the row. A search compares them by `>=` and
//! `<` in an index. `LIKE` and trigrams cannot use an index under row security, since their operators are not
//! leakproof. A search of several words finds the rows that have a word beginning with each.

mod fields;
mod fill;
pub(crate) mod pages;
mod terms;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use entity::search_terms::{self, Kind};
use entity::{BusinessId, Tenant};
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect, QueryTrait};
use uuid::Uuid;

use crate::foundation::rows::{ArrayStatement, Columns, Row};
use crate::{Error, Transaction};

pub(crate) use fields::{customer, order, payment, product};
pub use fill::{Filled, fill};
use terms::Terms;
pub(crate) use terms::sort_key;

/// The most words of a search. Each costs a scan of all that begins with it.
pub const MAX_WORDS: usize = 8;

/// The most terms that are counted for a word. A word with as many terms or more is common.
const MAX_COUNTED: u64 = 5_000;

/// The index entries that a scan reads while it looks up one.
const SCANNED_PER_LOOK_UP: u64 = 10;

/// Settings of the transactions that list and search: the best plan depends on how common a word or a product is. No
/// statement lasts as long as compiling it.
pub(crate) const SETTINGS: [&str; 2] = ["plan_cache_mode = 'force_custom_plan'", "jit = 'off'"];

/// The end of every range of terms: it follows all letters and digits.
const LAST: char = '\u{10ffff}';

/// A search: what the terms of a row must begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// A row is found by one of these, if it has a term that begins with each of its words.
    alternatives: Vec<Vec<String>>,
    text: String,
}

/// Why a text cannot be searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsearchable {
    /// The text has punctuation only.
    #[error("must have a letter or a digit")]
    NoWord,
    /// The text has more words than [`MAX_WORDS`].
    #[error("must not have more than {MAX_WORDS} words")]
    TooManyWords,
}

impl Search {
    /// Reads what people type: words, a reference with or without its separators, or a telephone number.
    ///
    /// # Errors
    /// [`Unsearchable`].
    pub fn parse(text: &str) -> Result<Self, Unsearchable> {
        let folded = terms::fold(text);
        let whole: Vec<String> = folded.split_whitespace().map(terms::joined).collect();
        let parts: Vec<String> = terms::parts(&folded).map(str::to_owned).collect();
        if parts.is_empty() {
            return Err(Unsearchable::NoWord);
        }
        if parts.len() > MAX_WORDS {
            return Err(Unsearchable::TooManyWords);
        }
        let readings = [whole, parts, vec![terms::joined(&folded)]];
        let phone = terms::phone(&folded).map(|digits| vec![digits]);
        let mut alternatives: Vec<Vec<String>> = Vec::new();
        for words in readings.into_iter().chain(phone) {
            let words = needed(words);
            if !alternatives.contains(&words) {
                alternatives.push(words);
            }
        }
        Ok(Self {
            alternatives,
            text: text.to_owned(),
        })
    }

    /// The text as it was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Counts what begins with each word in the terms of these kinds, up to [`MAX_COUNTED`]. Costs one statement.
    pub(crate) async fn look_up<const N: usize>(
        &self,
        transaction: &Transaction,
        business: BusinessId,
        kinds: [Kind; N],
    ) -> Result<[Found<'_>; N], Error> {
        let mut counts = Query::select();
        for (kind, alternative, word, text) in self.words(kinds) {
            let some = range(business, kinds[kind], text)
                .limit(MAX_COUNTED)
                .to_owned();
            let count = Query::select()
                .expr(Expr::cust("count(*)"))
                .from_subquery(some, "counted")
                .to_owned();
            counts.expr_as(subquery(count), name(kind, alternative, word));
        }
        let row = transaction.query_one(&counts).await?;
        let row = row.ok_or_else(|| Error::Bug("a count returned nothing".into()))?;
        let mut found = kinds.map(|kind| Found {
            business,
            kind,
            alternatives: self.alternatives.iter().map(|_| Vec::new()).collect(),
        });
        for (kind, alternative, word, text) in self.words(kinds) {
            let count: i64 = row.try_get("", &name(kind, alternative, word))?;
            let counted = (count.unsigned_abs(), text);
            found[kind].alternatives[alternative].push(counted);
        }
        for found in &mut found {
            for words in &mut found.alternatives {
                // The longest first among common words, whose numbers are not known.
                words.sort_unstable_by_key(|(count, word)| (*count, Reverse(word.len())));
            }
            found.alternatives.retain(|words| words[0].0 > 0);
        }
        Ok(found)
    }

    /// Each word with its position: the kind, the alternative, the word.
    fn words<const N: usize>(
        &self,
        _: [Kind; N],
    ) -> impl Iterator<Item = (usize, usize, usize, &str)> {
        (0..N).flat_map(|kind| {
            let alternatives = self.alternatives.iter().enumerate();
            alternatives.flat_map(move |(alternative, words)| {
                let words = words.iter().enumerate();
                words.map(move |(word, text)| (kind, alternative, word, text.as_str()))
            })
        })
    }
}

fn name(kind: usize, alternative: usize, word: usize) -> String {
    format!("n{kind}_{alternative}_{word}")
}

/// The rows that a search finds in the terms of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Found<'a> {
    business: BusinessId,
    kind: Kind,
    /// The words of each alternative that may find something, the rarest first, with the number of terms that begin with
    /// it.
    alternatives: Vec<Vec<(u64, &'a str)>>,
}

impl Found<'_> {
    /// Whether nothing is found.
    pub(crate) fn is_empty(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Whether all words of an alternative are common.
    pub(crate) fn is_common(&self) -> bool {
        self.alternatives
            .iter()
            .any(|words| words[0].0 >= MAX_COUNTED)
    }

    /// The ids of all rows that are found, once each: a statement with the column `entity_id`.
    pub(crate) fn ids(&self) -> SelectStatement {
        let mut alternatives = self.alternatives.iter().map(|words| self.of_all(words));
        let mut any = alternatives.next().unwrap_or_default();
        for other in alternatives {
            any.union(UnionType::Distinct, other);
        }
        any
    }

    /// The ids of the rows with all words of an alternative. The terms of the rarest word are read. So are those of other
    /// words, unless it is cheaper to look them up row by row. Of common words two are read.
    fn of_all(&self, words: &[(u64, &str)]) -> SelectStatement {
        let rarest = words[0].0;
        let is_read = |(position, word): &(usize, &(u64, &str))| match word.0 {
            MAX_COUNTED.. => *position == 0 || *position == 1 && rarest >= MAX_COUNTED,
            count => count <= rarest.saturating_mul(SCANNED_PER_LOOK_UP),
        };
        let (read, looked_up): (Vec<_>, Vec<_>) = words.iter().enumerate().partition(is_read);
        let mut terms = read.iter().map(|(_, word)| self.of_word(**word));
        let mut ids = terms.next().unwrap_or_default();
        if read.len() == 1 {
            ids.distinct();
        }
        for others in terms {
            ids.union(UnionType::Intersect, others);
        }
        let id = (IDS, search_terms::Column::EntityId);
        let mut all = Query::select();
        all.column(id).from_subquery(ids, IDS);
        for (_, (_, word)) in looked_up {
            all.and_where(self.has(word, &Expr::col(id)));
        }
        all
    }

    /// The ids of the rows with a word. The limit lets the planner know that there are few, and keeps it from reading the
    /// terms by row.
    fn of_word(&self, (count, word): (u64, &str)) -> SelectStatement {
        let mut terms = range(self.business, self.kind, word);
        if count < MAX_COUNTED {
            terms.limit(MAX_COUNTED);
        } else {
            terms.offset(0);
        }
        Query::select()
            .column((TABLE, search_terms::Column::EntityId))
            .from_subquery(terms, TABLE)
            .to_owned()
    }

    /// Whether the row with this id is found: looks up its terms, a condition that is checked row by row.
    pub(crate) fn matches(&self, id: &Expr) -> Expr {
        let alternatives = self.alternatives.iter().filter_map(|words| {
            let each = words.iter().map(|(_, word)| self.has(word, id));
            each.reduce(ExprTrait::and)
        });
        alternatives
            .reduce(ExprTrait::or)
            .unwrap_or_else(|| Expr::val(false))
    }

    /// Whether the row has a term that begins with the word. A scalar subquery, which the planner does not replace by
    /// reading all terms that begin with the word.
    fn has(&self, word: &str, id: &Expr) -> Expr {
        use search_terms::Column;

        let column = |column: Column| Expr::col((OTHER, column));
        let has = Query::select()
            .expr(Expr::cust("TRUE"))
            .from_as(search_terms::Entity, OTHER)
            .and_where(column(Column::BusinessId).eq(self.business))
            .and_where(column(Column::Kind).eq(self.kind))
            .and_where(column(Column::EntityId).eq(id.clone()))
            .and_where(column(Column::Term).gte(word))
            .and_where(column(Column::Term).lt(format!("{word}{LAST}")))
            .limit(1)
            .to_owned();
        subquery(has)
    }
}

fn subquery(select: SelectStatement) -> Expr {
    Expr::SubQuery(None, Box::new(select.into()))
}

/// The name of the table in statements.
const TABLE: &str = "search_terms";

/// The name of the table where terms of a row are looked up.
const OTHER: &str = "other";

/// The name of the ids of an alternative in statements.
const IDS: &str = "ids";

/// The terms that begin with a word: a statement with the column `entity_id`.
fn range(business: BusinessId, kind: Kind, word: &str) -> SelectStatement {
    use search_terms::Column;

    search_terms::Entity::of(business)
        .select_only()
        .column(Column::EntityId)
        .filter(Column::Kind.eq(kind))
        .filter(Column::Term.gte(word))
        .filter(Column::Term.lt(format!("{word}{LAST}")))
        .into_query()
}

/// The words without those that others begin with: whoever has a term with `mul` has one with `mu`.
fn needed(words: Vec<String>) -> Vec<String> {
    let mut needed: Vec<String> = Vec::new();
    let words: BTreeSet<String> = words.iter().map(|word| terms::cut(word)).collect();
    // In this order the words that begin with another follow it.
    for word in words.into_iter().rev().filter(|word| !word.is_empty()) {
        let is_implied = |longer: &String| longer.starts_with(&word);
        if !needed.last().is_some_and(is_implied) {
            needed.push(word);
        }
    }
    needed
}

/// A term to be inserted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NewTerm {
    kind: Kind,
    term: String,
    entity_id: Uuid,
}

impl NewTerm {
    /// The terms of one row.
    fn all(kind: Kind, entity_id: Uuid, terms: Terms) -> impl Iterator<Item = Self> {
        terms.into_sorted().map(move |term| Self {
            kind,
            term,
            entity_id,
        })
    }
}

impl Row for NewTerm {
    const NAME: &'static str = "new_term";

    fn columns(columns: &mut impl Columns<Self>) {
        columns.column("kind", |new| new.kind);
        columns.column("term", |new| new.term.clone());
        columns.column("entity_id", |new| new.entity_id);
    }
}

/// Raw: an insert of any number of rows with one text. A term that is there already stays.
static INSERT: LazyLock<ArrayStatement> = LazyLock::new(|| {
    ArrayStatement::new(|arrays| {
        let new = arrays.rows::<NewTerm>();
        format!(
            "INSERT INTO search_terms (business_id, kind, term, entity_id)
             SELECT $1, kind, term, entity_id FROM {new} ON CONFLICT DO NOTHING"
        )
    })
});

/// Inserts the terms of new rows. Costs one statement, and nothing without terms.
pub(crate) async fn insert(
    transaction: &Transaction,
    business: BusinessId,
    terms: impl IntoIterator<Item = NewTerm>,
) -> Result<(), Error> {
    let terms: Vec<NewTerm> = terms.into_iter().collect();
    if terms.is_empty() {
        return Ok(());
    }
    let statement = INSERT.of(business).rows(&terms).statement()?;
    transaction.execute_raw(statement).await?;
    Ok(())
}

/// Replaces the terms of a row, which the caller has locked. Costs two statements.
pub(crate) async fn replace(
    transaction: &Transaction,
    business: BusinessId,
    (kinds, id): (&[Kind], Uuid),
    terms: impl IntoIterator<Item = NewTerm>,
) -> Result<(), Error> {
    use search_terms::Column;

    search_terms::Entity::delete_of(business)
        .filter(Column::Kind.is_in(kinds.iter().copied()))
        .filter(Column::EntityId.eq(id))
        .exec(transaction)
        .await?;
    insert(transaction, business, terms).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        Search::parse(text).unwrap().alternatives
    }

    #[test]
    fn each_reading_of_a_text_is_searched_once() {
        assert_eq!(words("Müller"), [["muller"]]);
        assert_eq!(words("Jo Müller"), [vec!["muller", "jo"], vec!["jomuller"]]);
        assert_eq!(words("K-000123"), [vec!["k000123"], vec!["k", "000123"]]);
        assert_eq!(
            words("030 1234"),
            [vec!["1234", "030"], vec!["0301234"], vec!["301234"]]
        );
    }

    #[test]
    fn words_that_others_begin_with_are_not_searched() {
        assert_eq!(
            words("mu mul MULLER b"),
            [vec!["muller", "b"], vec!["mumulmullerb"]]
        );
    }

    #[test]
    fn a_text_has_from_one_to_eight_words() {
        for nothing in ["", "-", "… & !"] {
            assert_eq!(
                Search::parse(nothing),
                Err(Unsearchable::NoWord),
                "{nothing}"
            );
        }
        assert!(Search::parse("a b c d e f g h").is_ok());
        assert_eq!(
            Search::parse("a b c d e f g h i"),
            Err(Unsearchable::TooManyWords)
        );
        assert_eq!(
            Search::parse("a-b-c-d-e-f-g-h-i"),
            Err(Unsearchable::TooManyWords)
        );
    }
}
