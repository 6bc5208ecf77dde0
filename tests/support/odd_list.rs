//! A store that lists as it is told to, over another one: ETags, classes, what lies on top, what is left out, and what
//! happens while the listing runs.

use panicroom::error::Result;
use panicroom::store::{
    Cover, Created, Depth, Held, Inventory, NewObject, ObjectInfo, ObjectName, ObjectStore, Requests, Speed, Thaw,
};
use panicroom::worker::Stop;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;

type Hook<'a> = Box<dyn FnOnce() + Send + 'a>;

pub struct OddList<'a> {
    inner: &'a dyn ObjectStore,
    pub etags: Mutex<BTreeMap<String, String>>,
    pub classes: Mutex<BTreeMap<String, String>>,
    pub covers: Mutex<BTreeMap<String, Cover>>,
    pub left_out: Mutex<Vec<String>>,
    pub surface: Option<&'static str>,
    /// Run once the names are known and before the first is told.
    pub meanwhile: Mutex<Option<Hook<'a>>>,
    /// The server keeps no checksums.
    pub no_sums: bool,
}

impl<'a> OddList<'a> {
    pub fn over(inner: &'a dyn ObjectStore) -> Self {
        Self {
            inner,
            etags: Mutex::default(),
            classes: Mutex::default(),
            covers: Mutex::default(),
            left_out: Mutex::default(),
            surface: None,
            meanwhile: Mutex::default(),
            no_sums: false,
        }
    }
}

impl ObjectStore for OddList<'_> {
    fn create(&self, object: &NewObject, stop: &Stop) -> Result<Created> {
        self.inner.create(object, stop)
    }
    fn read_into(&self, name: &ObjectName, range: Option<Range<u64>>, into: &mut Vec<u8>, stop: &Stop) -> Result<()> {
        self.inner.read_into(name, range, into, stop)
    }
    fn head(&self, name: &ObjectName) -> Result<Option<ObjectInfo>> {
        let info = self.inner.head(name)?;
        Ok(info.map(|info| ObjectInfo { sha256: info.sha256.filter(|_| !self.no_sums), ..info }))
    }
    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectInfo) -> Result<()>) -> Result<()> {
        self.inner.list(prefix, each)
    }
    fn inventory(&self, prefix: &str, each: &mut dyn FnMut(Held) -> Result<()>) -> Result<Inventory> {
        let mut all = vec![];
        self.inner.list(prefix, &mut |info| {
            all.push(info);
            Ok(())
        })?;
        if let Some(hook) = self.meanwhile.lock().unwrap().take() {
            hook();
        }
        for mut object in all {
            let name = object.name.to_string();
            if self.left_out.lock().unwrap().contains(&name) {
                continue;
            }
            object.etag = self.etags.lock().unwrap().get(&name).cloned().or(object.etag);
            object.class = self.classes.lock().unwrap().get(&name).cloned().or(object.class);
            let cover = self.covers.lock().unwrap().get(&name).copied().unwrap_or(Cover::Bare);
            each(Held { object, cover })?;
        }
        Ok(Inventory { depth: self.surface.map_or(Depth::Versions, Depth::Surface), strange: 0 })
    }
    fn thaw(&self, name: &ObjectName, speed: Speed, days: u32) -> Result<Thaw> {
        self.inner.thaw(name, speed, days)
    }
    fn may_freeze(&self) -> bool {
        self.inner.may_freeze()
    }
    fn requests(&self) -> Requests {
        self.inner.requests()
    }
    fn sent_bytes(&self) -> u64 {
        self.inner.sent_bytes()
    }
    fn url(&self) -> String {
        self.inner.url()
    }
}
