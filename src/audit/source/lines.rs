//! A stream of bytes as a stream of lines, none longer than a limit.

use futures_util::{Stream, StreamExt as _, stream};

use crate::code::{Code, Fault};

/// Splits at newlines; a last line without one counts too, empty lines do not.
pub(super) fn lines<B>(
    chunks: impl Stream<Item = Result<B, Fault>> + Unpin + Send,
    most: usize,
) -> impl Stream<Item = Result<Vec<u8>, Fault>> + Send
where
    B: AsRef<[u8]> + Send,
{
    let start = (chunks, Vec::<u8>::new(), false);
    stream::try_unfold(start, move |(mut chunks, mut held, mut ended)| async move {
        // `seen`: what of `held` is known to have no newline.
        let mut seen = 0;
        loop {
            let found = held.iter().skip(seen).position(|b| *b == b'\n');
            if let Some(place) = found {
                let rest = held.split_off(seen + place + 1);
                held.pop();
                let line = std::mem::replace(&mut held, rest);
                seen = 0;
                if !line.is_empty() {
                    return Ok(Some((line, (chunks, held, ended))));
                }
                continue;
            }
            seen = held.len();
            if ended {
                let line = std::mem::take(&mut held);
                return Ok((!line.is_empty()).then_some((line, (chunks, held, ended))));
            }
            if held.len() > most {
                let detail = format!("a line of more than {most} bytes");
                return Err(Fault::new(Code::ServerRefused, detail));
            }
            match chunks.next().await {
                Some(chunk) => held.extend_from_slice(chunk?.as_ref()),
                None => ended = true,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    async fn split(chunks: &[&str], most: usize) -> Result<Vec<String>, Fault> {
        let chunks: Vec<Result<Vec<u8>, Fault>> =
            chunks.iter().map(|c| Ok(c.as_bytes().to_vec())).collect();
        let lines: Vec<Vec<u8>> = lines(stream::iter(chunks), most).try_collect().await?;
        Ok(lines
            .into_iter()
            .map(|line| String::from_utf8(line).unwrap())
            .collect())
    }

    #[tokio::test]
    async fn wherever_the_chunks_break() {
        for chunks in [
            vec!["one\ntwo\n\nthree"],
            vec!["o", "ne\nt", "", "wo\n", "\nthr", "ee\n"],
        ] {
            assert_eq!(split(&chunks, 5).await.unwrap(), ["one", "two", "three"]);
        }
        assert!(split(&[], 5).await.unwrap().is_empty());
        let refused = split(&["abc", "def", "g\n"], 5).await.unwrap_err();
        assert!(refused.is(Code::ServerRefused));
    }
}
