//! The toolkit for destinations that speak SQL.
//!
//! A [`Dialect`] says how an engine writes things down, a [`SqlClient`] sends statements and brings answers, and
//! [`SqlDestination`] makes a [`Destination`](crate::Destination) of the two. What happens between them is data:
//! [`Statement`]s, and a [`Transaction`] whose steps say how many rows they must change.
//!
//! There is no vendor here and no input or output: everything but the few lines in [`SqlDestination`] is a function
//! from data to text.

mod copy_file;
mod describe;
mod destination;
mod dialect;
mod fence;
mod inserts;
mod measure;
mod merge;
mod migrate;
mod publish;
mod statement;
pub mod system;
#[cfg(test)]
mod testing;
mod transaction;

pub use copy_file::CopyFile;
pub use describe::{pack_text, unpack_text};
pub use destination::SqlDestination;
pub use dialect::{
    Dialect, Target, add_column, column_list, columns_query, create_table, dataset_query,
    double_quoted,
};
pub use inserts::{InsertFile, InsertStatements};
pub use measure::publication_bytes;
pub use migrate::{column_comments, migration};
pub use publish::{PublicationPlan, plan_publication, staging_name};
pub use statement::{Parameter, Statement};
pub use transaction::{
    CommitError, Expect, Row, Session, SqlClient, Step, Transaction, Work, run_transaction,
};
