//! What a load decides after each answer, as pure functions.
//!
//! The engine calls them, and the model in `model/` searches every order of events through these very functions. What may
//! be done only after something was seen takes a proof of it: publishing takes a [`Held`], cleaning up a [`Published`],
//! and neither can be had in another way than from here.

use transload_core::{CommitRecord, ErrorKind, LoadId, Sha256Hex};

/// What a load says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim<'a> {
    /// Its id.
    pub(crate) load_id: &'a LoadId,
    /// The digest of its manifest.
    pub(crate) digest: &'a Sha256Hex,
    /// The load that was the last one of the pipeline when this one was made.
    pub(crate) previous: Option<&'a LoadId>,
    /// Whether its rows take the place of others: it replaces or merges something.
    pub(crate) order_matters: bool,
    /// What it may follow, where its order matters.
    pub(crate) order: Order,
}

/// After which loads one may be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// After the one after which it was made.
    #[default]
    AsMade,
    /// After any older one, where the user says that what is missing between is no loss.
    AfterOlder,
}

impl Claim<'_> {
    fn may_follow(&self, last: Option<&LoadId>) -> bool {
        match self.order {
            _ if !self.order_matters => true,
            Order::AsMade => last == self.previous,
            Order::AfterOlder => last.is_none_or(|last| last < self.load_id),
        }
    }
}

/// What the destination says of the load, asked after the fence was raised: from then on nobody else can publish it, so
/// what is seen stays true.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    /// What is known of its id.
    pub(crate) commit: Option<&'a CommitRecord>,
    /// The load that the fence names as the last one.
    pub(crate) last: Option<&'a LoadId>,
}

/// What follows the look. The same at the first attempt, after a lost answer, and when a load is resumed, on this
/// machine or on another one: nothing is remembered but what the manifest and the destination say.
#[derive(Debug)]
pub(crate) enum Verdict<L> {
    /// It is to be published, by this loader and no other.
    Publish(Held<L>),
    /// It is published already: there is nothing left but to clean up.
    Published(Published<L>),
    /// Another load has its id.
    IdTaken,
    /// A load was published that it knows nothing of, and its rows may be older than those of that one.
    OutOfOrder,
}

/// The right to publish a load: the fence is raised, and the look found no commit of it.
#[derive(Debug)]
pub(crate) struct Held<L>(L);

/// Proof that a load is visible, by a commit that was seen.
#[derive(Debug)]
pub(crate) struct Published<L>(L);

impl<L> Held<L> {
    /// The load.
    pub(crate) fn load(&self) -> &L {
        &self.0
    }

    /// The destination has answered that the commit is made.
    pub(crate) fn committed(self) -> Published<L> {
        Published(self.0)
    }
}

impl<L> Published<L> {
    /// The load whose leftovers may be removed: those of its own epoch and of earlier ones, and of no other load. Whoever
    /// has no such proof, because it failed, was fenced off or lost the answer, removes nothing.
    pub(crate) fn leftovers(&self) -> &L {
        &self.0
    }
}

/// Decides what becomes of a load after the look.
pub(crate) fn after_look<L>(load: L, claim: &Claim<'_>, seen: &Seen<'_>) -> Verdict<L> {
    match seen.commit {
        Some(commit) if commit.digest.as_ref() != Some(claim.digest) => Verdict::IdTaken,
        Some(_) => Verdict::Published(Published(load)),
        // The fence knows it, whatever was or was not found in the dataset: it must never be published again.
        None if seen.last == Some(claim.load_id) => Verdict::Published(Published(load)),
        None if !claim.may_follow(seen.last) => Verdict::OutOfOrder,
        None => Verdict::Publish(Held(load)),
    }
}

/// What a load is at, when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Anything before the publication. What may pass by itself was tried again already.
    Preparing,
    /// The publication, which is never simply repeated.
    Publishing,
}

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// Raise the fence, look, and do again what is not done.
    FenceLookRedo,
    /// Give up and leave everything as it is: the package stays, and so does what lies in the storage and the
    /// destination. A later run decides anew. Whoever was fenced off ends here too: the other one is at work.
    Stop,
}

/// Decides what follows an error.
pub(crate) fn after_error(doing: Doing, kind: ErrorKind) -> Recovery {
    match (doing, kind) {
        // It may have been applied, be applied later, or never: only a look behind a raised fence can tell.
        (_, ErrorKind::OutcomeUnknown) => Recovery::FenceLookRedo,
        // The transaction met another one or never began. A look costs little, and the epoch may be gone.
        (Doing::Publishing, ErrorKind::Transient) => Recovery::FenceLookRedo,
        _ => Recovery::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(commit: Option<&[u8]>, last: Option<&str>, order_matters: bool) -> &'static str {
        verdict_in(Order::AsMade, commit, last, order_matters)
    }

    fn verdict_in(
        order: Order,
        commit: Option<&[u8]>,
        last: Option<&str>,
        order_matters: bool,
    ) -> &'static str {
        let (load_id, previous) = (LoadId::new("2"), LoadId::new("1"));
        let digest = Sha256Hex::of(b"ours");
        let previous = Some(&previous);
        let claim = Claim { load_id: &load_id, digest: &digest, previous, order_matters, order };
        let commit = commit.map(|bytes| CommitRecord {
            load_id: load_id.clone(),
            digest: (!bytes.is_empty()).then(|| Sha256Hex::of(bytes)),
        });
        let last = last.map(LoadId::new);
        match after_look((), &claim, &Seen { commit: commit.as_ref(), last: last.as_ref() }) {
            Verdict::Publish(_) => "publish",
            Verdict::Published(_) => "published",
            Verdict::IdTaken => "id taken",
            Verdict::OutOfOrder => "out of order",
        }
    }

    #[test]
    fn a_load_that_replaces_follows_the_one_after_which_it_was_made() {
        assert_eq!(verdict(None, Some("1"), true), "publish");
        for last in [None, Some("0"), Some("3")] {
            assert_eq!(verdict(None, last, true), "out of order", "{last:?}");
            assert_eq!(verdict(None, last, false), "publish", "{last:?}");
        }
    }

    #[test]
    fn a_load_that_the_user_names_follows_any_older_one() {
        let verdict =
            |last, order_matters| verdict_in(Order::AfterOlder, None, last, order_matters);
        for last in [None, Some("0"), Some("1")] {
            assert_eq!(verdict(last, true), "publish", "{last:?}");
        }
        assert_eq!(verdict(Some("3"), true), "out of order");
        assert_eq!(verdict(Some("3"), false), "publish");
        assert_eq!(verdict(Some("2"), true), "published", "by the fence");
    }

    #[test]
    fn a_load_that_is_found_is_never_published_again() {
        for order_matters in [true, false] {
            assert_eq!(verdict(Some(b"ours"), Some("2"), order_matters), "published");
            assert_eq!(verdict(Some(b"ours"), Some("3"), order_matters), "published");
            assert_eq!(verdict(None, Some("2"), order_matters), "published", "by the fence");
        }
    }

    #[test]
    fn an_id_that_another_load_or_another_tool_has_is_taken() {
        for found in [&b"theirs"[..], b""] {
            assert_eq!(verdict(Some(found), Some("1"), false), "id taken");
            assert_eq!(verdict(Some(found), Some("2"), true), "id taken");
        }
    }

    #[test]
    fn only_a_lost_answer_and_a_publication_that_met_another_are_begun_again() {
        use ErrorKind::*;
        let kinds = [
            Configuration,
            Unsupported,
            BadData,
            Transient,
            Terminal,
            Fenced,
            OutcomeUnknown,
            Interrupted,
            Bug,
        ];
        let again = |doing| {
            let again = |kind: &ErrorKind| after_error(doing, *kind) == Recovery::FenceLookRedo;
            kinds.iter().copied().filter(again).collect::<Vec<_>>()
        };
        assert_eq!(again(Doing::Preparing), [OutcomeUnknown]);
        assert_eq!(again(Doing::Publishing), [Transient, OutcomeUnknown]);
    }
}
