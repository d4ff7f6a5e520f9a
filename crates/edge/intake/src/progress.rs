//! How far a reader has come, and the order in which it tells: rows first, then the damage behind them.

use model::FlowBatch;

use crate::error::IntakeError;
use crate::source::BATCH_ROWS;

/// How far a reader has come.
#[derive(Default)]
pub(crate) enum Progress {
    /// There may be more.
    #[default]
    Reading,
    /// Damage was met while rows were at hand: they go out first.
    Failing(IntakeError),
    /// Nothing more comes.
    Done,
}

impl Progress {
    /// Takes steps until the batch has about [`BATCH_ROWS`] more rows. A step says whether there may be more. After an
    /// error nothing more is read; rows found before it go out with `true`, the error with the next call.
    pub(crate) fn fill(
        &mut self,
        batch: &mut FlowBatch,
        mut step: impl FnMut(&mut FlowBatch) -> Result<bool, IntakeError>,
    ) -> Result<bool, IntakeError> {
        let before = batch.len();
        while matches!(self, Self::Reading) && batch.len() - before < BATCH_ROWS {
            match step(batch) {
                Ok(true) => {}
                Ok(false) => *self = Self::Done,
                Err(error) => *self = Self::Failing(error),
            }
        }
        if batch.len() > before {
            return Ok(true);
        }
        match std::mem::replace(self, Self::Done) {
            Self::Failing(error) => Err(error),
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Flow;

    use super::*;

    #[test]
    fn rows_before_damage_go_out_first() {
        let mut progress = Progress::default();
        let mut batch = FlowBatch::new("test");
        let mut steps = 0;
        let mut step = |batch: &mut FlowBatch| {
            steps += 1;
            if steps == 3 {
                return Err(IntakeError::Empty { file: String::new(), expected: "more" });
            }
            batch.push(Flow::default());
            Ok(true)
        };
        assert!(matches!(progress.fill(&mut batch, &mut step), Ok(true)));
        assert_eq!(batch.len(), 2);
        assert!(progress.fill(&mut batch, &mut step).is_err());
        assert!(matches!(progress.fill(&mut batch, &mut step), Ok(false)));
        assert_eq!(steps, 3);
    }
}
