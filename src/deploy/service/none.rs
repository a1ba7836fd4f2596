//! No service: nothing runs on the data, or somebody else takes care of it.

use super::{Fence, Ground, Part, Running, Service, Stopped};
use crate::Result;

pub(super) struct Nothing<'a> {
    fence: Fence<'a>,
}

impl<'a> Nothing<'a> {
    pub(super) fn new(ground: Ground<'a>) -> Self {
        Self { fence: Fence::new(&ground) }
    }
}

impl Service for Nothing<'_> {
    fn name(&self) -> String {
        "no service".into()
    }

    fn is_managed(&self) -> bool {
        false
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn state(&self) -> Result<Vec<Part>> {
        Ok(Vec::new())
    }

    fn running(&self) -> Result<Running> {
        Ok(Running::default())
    }

    fn prepare_fence(&self) -> Result<()> {
        Ok(())
    }

    fn raise_fence(&self) -> Result<()> {
        self.fence.raise()
    }

    fn stop(&self) -> Result<Stopped> {
        Ok(Stopped::default())
    }

    fn lift_fence(&self) -> Result<()> {
        self.fence.lift()
    }

    fn remove_fence(&self) -> Result<()> {
        Ok(())
    }

    fn start(&self, _: &Running) -> Result<()> {
        Ok(())
    }

    fn restart(&self) -> Result<()> {
        Ok(())
    }

    fn log_tail(&self, _: usize) -> Option<String> {
        None
    }
}
