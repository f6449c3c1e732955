//! PostgreSQL's messages: their frames, and those that are made here.

use std::collections::BTreeMap;

use tokio::io::{self, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

/// Bytes of the longest message that is taken: a statement of Redshift has 16 MB.
const LONGEST: usize = 64 << 20;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its kind.
    pub(crate) kind: u8,
    /// What it holds.
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// A message.
    pub(crate) fn new(kind: u8, body: impl Into<Vec<u8>>) -> Self {
        Self { kind, body: body.into() }
    }

    /// A simple query.
    pub(crate) fn query(sql: &str) -> Self {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        Self::new(b'Q', body)
    }

    /// "Done", with a tag.
    pub(crate) fn complete(tag: &str) -> Self {
        let mut body = tag.as_bytes().to_vec();
        body.push(0);
        Self::new(b'C', body)
    }

    /// "What next?", with the state of the transaction.
    pub(crate) fn ready(status: u8) -> Self {
        Self::new(b'Z', vec![status])
    }

    /// An error or a notice.
    pub(crate) fn said(kind: u8, severity: &str, code: &str, message: &str, detail: &str) -> Self {
        let mut body = Vec::new();
        let fields =
            [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message), (b'D', detail)];
        for (field, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
            body.push(field);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        Self::new(kind, body)
    }

    /// An error.
    pub(crate) fn error(code: &str, message: &str, detail: &str) -> Self {
        Self::said(b'E', "ERROR", code, message, detail)
    }

    /// A row of texts, with what comes before it.
    pub(crate) fn row(values: &[(&str, Option<&str>)]) -> [Self; 2] {
        let count = (values.len() as u16).to_be_bytes();
        let mut names = count.to_vec();
        let mut row = count.to_vec();
        for (name, value) in values {
            names.extend_from_slice(name.as_bytes());
            names.push(0);
            // No table, type text, any length, as text.
            names.extend_from_slice(&[
                0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0,
            ]);
            match value {
                None => row.extend_from_slice(&(-1_i32).to_be_bytes()),
                Some(value) => {
                    row.extend_from_slice(&(value.len() as u32).to_be_bytes());
                    row.extend_from_slice(value.as_bytes());
                }
            }
        }
        [Self::new(b'T', names), Self::new(b'D', row)]
    }

    /// The text of a simple query.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.body.strip_suffix(&[0]).unwrap_or(&self.body)).into_owned()
    }

    /// The fields of an error.
    pub(crate) fn fields(&self) -> BTreeMap<u8, String> {
        self.body
            .split(|byte| *byte == 0)
            .filter_map(|field| {
                let (kind, text) = field.split_first()?;
                Some((*kind, String::from_utf8_lossy(text).into_owned()))
            })
            .collect()
    }

    /// The values of a row.
    pub(crate) fn values(&self) -> Vec<Option<String>> {
        let mut values = Vec::new();
        let mut rest = self.body.get(2..).unwrap_or_default();
        while let Some((length, after)) = rest.split_at_checked(4) {
            let length = i32::from_be_bytes(length.try_into().unwrap_or_default());
            let (value, after) = after.split_at_checked(length.max(0) as usize).unwrap_or_default();
            values.push((length >= 0).then(|| String::from_utf8_lossy(value).into_owned()));
            rest = after;
        }
        values
    }

    /// Writes it.
    pub(crate) async fn write(&self, to: &mut OwnedWriteHalf) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(self.body.len() + 5);
        bytes.push(self.kind);
        bytes.extend_from_slice(&(self.body.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(&self.body);
        to.write_all(&bytes).await
    }
}

/// Reads messages until the other side is gone. They come by a channel, since reading one must not be given up halfway.
pub(crate) fn frames(mut from: OwnedReadHalf) -> mpsc::Receiver<Frame> {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let read = async {
                let kind = from.read_u8().await?;
                let length = from.read_u32().await? as usize;
                let length = length.checked_sub(4).filter(|length| *length <= LONGEST);
                let length = length.ok_or_else(|| io::Error::other("a message is too long"))?;
                let mut body = vec![0; length];
                from.read_exact(&mut body).await?;
                io::Result::Ok(Frame { kind, body })
            };
            let Ok(frame) = read.await else { break };
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    });
    receiver
}

/// The first message of a connection, which has no kind.
pub(crate) async fn first_message(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await? as usize;
    let length = length.checked_sub(4).filter(|length| *length <= 1 << 16);
    let mut body = vec![0; length.ok_or_else(|| io::Error::other("no first message"))?];
    from.read_exact(&mut body).await?;
    Ok(body)
}

/// Writes a message that has no kind.
pub(crate) async fn write_first_message(to: &mut OwnedWriteHalf, body: &[u8]) -> io::Result<()> {
    to.write_all(&(body.len() as u32 + 4).to_be_bytes()).await?;
    to.write_all(body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_back() {
        let error = Frame::error("XX000", "no", "why");
        assert_eq!(error.fields()[&b'M'], "no");
        assert_eq!(
            (error.fields()[&b'C'].as_str(), error.fields()[&b'D'].as_str()),
            ("XX000", "why")
        );
        let [_, row] = Frame::row(&[("a", Some("x")), ("b", None), ("c", Some(""))]);
        assert_eq!(row.values(), [Some("x".into()), None, Some(String::new())]);
        assert_eq!(Frame::query("SELECT 'ü'").text(), "SELECT 'ü'");
    }
}
