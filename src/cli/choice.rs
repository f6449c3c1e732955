//! Which pipeline is meant: a file, flags, or both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Plugin, Redactor, Registry, Result, Secret};

use super::World;
use super::args::PipelineArgs;
use super::file::PipelineFile;
use crate::config::{Layers, secrets_of};
use crate::pipeline::{DestinationSettings, Pipeline, PipelineBuilder, pipeline};
use crate::{Event, Observer, SchemaContract, SourceSettings};

/// A pipeline as the file and the flags describe it.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) name: Option<String>,
    /// The first one takes the loads, the others follow.
    pub(super) destinations: Vec<String>,
    pub(super) staging: Option<String>,
    pub(super) dataset_name: Option<String>,
    pub(super) pipelines_dir: Option<PathBuf>,
    pub(super) config_dir: PathBuf,
    pub(super) schema_contract: Option<SchemaContract>,
    pub(super) import_schema_path: Option<PathBuf>,
    pub(super) export_schema_path: Option<PathBuf>,
    pub(super) file: PipelineFile,
}

/// One destination or staging destination of a pipeline, with its settings.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) name: String,
    pub(super) plugin: Plugin,
    pub(super) settings: Settings,
}

impl Choice {
    /// Lays the flags over the file.
    pub(super) fn new(path: Option<&Path>, flags: PipelineArgs) -> Result<Self> {
        let mut file = path.map(PipelineFile::read).transpose()?.unwrap_or_default();
        let beside = path
            .and_then(Path::parent)
            .filter(|folder| [".transload", ".dlt"].iter().any(|name| folder.join(name).is_dir()));
        Ok(Self {
            name: flags.pipeline_name.or_else(|| file.pipeline_name.take()),
            destinations: match flags.destination.is_empty() {
                true => std::mem::take(&mut file.destination.0),
                false => flags.destination,
            },
            staging: flags.staging.or_else(|| file.staging.take()),
            dataset_name: flags.dataset_name.or_else(|| file.dataset_name.take()),
            pipelines_dir: flags.pipelines_dir.or_else(|| file.pipelines_dir.take()),
            config_dir: flags
                .config_dir
                .unwrap_or_else(|| beside.unwrap_or(Path::new(".")).to_owned()),
            schema_contract: file.schema_contract,
            import_schema_path: file.import_schema_path.take(),
            export_schema_path: file.export_schema_path.take(),
            file,
        })
    }

    /// The name of the pipeline.
    pub(super) fn name(&self) -> Result<&str> {
        self.name.as_deref().ok_or_else(|| {
            let hint = if Path::new("pipeline.toml").is_file() {
                "name it: `--pipeline-name N`; or name its file: `pipeline.toml`"
            } else {
                "name it: `--pipeline-name N`, or `pipeline_name = \"N\"` in a pipeline.toml"
            };
            Error::new(ErrorKind::Configuration, "no pipeline was named").with_hint(hint)
        })
    }

    /// Builds the pipeline.
    pub(super) fn build(&self, world: &World, observer: Arc<dyn Observer>) -> Result<Pipeline> {
        let mut builder: PipelineBuilder = pipeline(self.name()?)
            .config_dir(&self.config_dir)
            .environment(world.environment.iter().cloned())
            .observer(move |event: Event| observer.observe(event));
        if let Some(home) = &world.home {
            builder = builder.home(home);
        }
        builder = builder.destinations(&self.destinations);
        if let Some(name) = &self.staging {
            builder = builder.staging(name);
        }
        if let Some(name) = &self.dataset_name {
            builder = builder.dataset_name(name);
        }
        if let Some(folder) = &self.pipelines_dir {
            builder = builder.pipelines_dir(folder);
        }
        if let Some(contract) = self.schema_contract {
            builder = builder.schema_contract(contract);
        }
        if let Some(folder) = &self.import_schema_path {
            builder = builder.import_schema_path(folder);
        }
        if let Some(folder) = &self.export_schema_path {
            builder = builder.export_schema_path(folder);
        }
        builder.build()
    }

    /// The places of its settings, read.
    pub(super) fn layers(&self, world: &World) -> Result<Layers> {
        let builder = Layers::builder()
            .project(&self.config_dir)
            .folder(".")
            .environment(world.environment.iter().cloned())
            .shared_keys(DestinationSettings::KEYS);
        match &world.home {
            Some(home) => builder.home(home),
            None => builder,
        }
        .build()
    }

    /// The destinations and the staging destination, each with whether it is that one, and with its settings or the reason
    /// why there are none.
    pub(super) fn resolve(
        &self,
        registry: &Registry,
        layers: &Layers,
    ) -> Vec<(bool, Result<Resolved>)> {
        let pipeline = self.name.as_deref().unwrap_or_default();
        let resolve = |name: &str, staging: bool| {
            let kind = layers
                .destination_type(pipeline, name)
                .map_or_else(|| name.to_owned(), |(kind, _)| kind);
            let plugin =
                if staging { registry.staging(&kind)?.0 } else { registry.destination(&kind)?.0 };
            let settings = layers.resolve(pipeline, name, plugin.settings)?;
            Ok(Resolved { name: name.to_owned(), plugin: *plugin, settings })
        };
        let destinations = self.destinations.iter().map(|name| (name, false));
        let all = destinations.chain(self.staging.iter().map(|name| (name, true)));
        all.map(|(name, staging)| (staging, resolve(name, staging))).collect()
    }

    /// What takes every secret of the configuration out of a text. It knows as many as can be found: that the
    /// configuration is wrong is for others to say.
    pub(super) fn redactor(&self, world: &World, registry: &Registry) -> Redactor {
        let Ok(layers) = self.layers(world) else { return Redactor::default() };
        let mut secrets: Vec<Secret> = layers.secrets();
        let resolved = self.resolve(registry, &layers).into_iter();
        for resolved in resolved.filter_map(|(_, resolved)| resolved.ok()) {
            secrets.extend(secrets_of(&resolved.settings, resolved.plugin.settings));
        }
        let pipeline = self.name.as_deref().unwrap_or_default();
        let (section, keys) = (&SourceSettings::SECTION, SourceSettings::KEYS);
        if let Ok(sources) = layers.resolve_section(pipeline, section, keys) {
            secrets.extend(SourceSettings::secrets(&sources));
        }
        Redactor::new(&secrets)
    }
}
