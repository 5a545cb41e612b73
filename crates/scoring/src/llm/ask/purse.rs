//! Who pays: asked before each request, told after it.

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use undertone_core::Usage;
use undertone_core::gate::DeferReason;
use undertone_core::usage::RequestSize;
use undertone_core::usage::price::Caching;
use undertone_core::verdict::ScorerKind;

/// A request that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Planned<'a> {
    /// Who asks.
    pub scorer: ScorerKind,
    /// The model that will be asked.
    pub model: &'a str,
    /// Texts in it.
    pub texts: u32,
    /// What bounds its tokens.
    pub size: RequestSize,
    /// Whether it has its prompt cached.
    pub caching: Caching,
}

/// What was set aside for a request: the purse's own name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold(pub String);

/// How a request ended, as far as money goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The provider reported this.
    Charged(Usage),
    /// It is certain that nothing was charged.
    Free,
    /// Nobody knows. What was set aside counts as spent until somebody does.
    Unknown,
}

/// A request may not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why, in the gate's word.
    pub reason: DeferReason,
    /// Why, for a person.
    pub detail: String,
    /// When there is room again; `None` where no time brings it.
    pub until: Option<DateTime<Utc>>,
    /// A request about fewer texts may still be granted.
    pub smaller_may_fit: bool,
}

/// Grants requests and keeps count of what they took.
pub trait Purse: Send + Sync {
    /// Sets aside the most the request can take, or says why it may not be made. May wait a while for others to finish.
    fn reserve<'a>(&'a self, planned: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>>;

    /// Waits for a place in the line of those who want money of this purse to ask this scorer with: for whoever has something in hand that others need,
    /// and must not keep it while money is waited for. A purse that serves one asker needs no line.
    fn line(&self, _: ScorerKind) -> BoxFuture<'_, Box<dyn Line + '_>> {
        let place: Box<dyn Line + '_> = Box::new(NoLine(self));
        ready(place).boxed()
    }

    /// The request ended. Answers what it cost, in millionths of a US dollar, 0 where nobody knows.
    fn settle<'a>(&'a self, hold: Hold, planned: Planned<'a>, ending: Ending) -> BoxFuture<'a, u64>;
}

/// A place in a purse's line. Whoever has it asks next, and nobody else does until it is dropped.
pub trait Line: Send {
    /// As [`Purse::reserve`], but at once: `None` where what requests under way hold is all that is missing.
    fn ask<'a>(&'a mut self, planned: Planned<'a>) -> BoxFuture<'a, Option<Result<Hold, Refused>>>;

    /// After `None`: ends when asking again may be worth it.
    fn wait(&mut self) -> BoxFuture<'_, ()>;
}

/// The place where there is no line.
struct NoLine<'p, P: ?Sized>(&'p P);

impl<P: Purse + ?Sized> Line for NoLine<'_, P> {
    fn ask<'a>(&'a mut self, planned: Planned<'a>) -> BoxFuture<'a, Option<Result<Hold, Refused>>> {
        self.0.reserve(planned).map(Some).boxed()
    }

    fn wait(&mut self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Grants everything and counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Purse for Unlimited {
    fn reserve<'a>(&'a self, _: Planned<'a>) -> BoxFuture<'a, Result<Hold, Refused>> {
        ready(Ok(Hold(String::new()))).boxed()
    }

    fn settle<'a>(&'a self, _: Hold, _: Planned<'a>, _: Ending) -> BoxFuture<'a, u64> {
        ready(0).boxed()
    }
}
