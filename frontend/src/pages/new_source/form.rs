//! The fields of a source.

use leptos::prelude::*;
use shared::{api::view::AgentView, input, limits::Limit};

use super::schedule_fields::ScheduleFields;
use crate::{
    components::{Checkbox, Field, FormField, Icon, SelectOption, Sign, TenantForm},
    functions::source::CreateSource,
    refused::FormState,
};

const AGENT: Field = Field::choice("agent_id", "Machine").required();

const NAME: Field = Field::line("name", "Name")
    .hint("Such as “Accounting files”.")
    .required()
    .at_most(Limit::Name)
    .rule(|text| input::name("name", text).map(drop));

const PATHS: Field = Field::lines("paths", "Paths", 4)
    .hint("Absolute, one a line.")
    .required()
    .mono()
    .rule(|text| input::paths(text).map(drop));

const EXCLUDES: Field = Field::lines("excludes", "Leave out (optional)", 3)
    .hint("Patterns in gitignore syntax, one a line, such as *.tmp or /cache/")
    .mono()
    .rule(|text| input::excludes(text).map(drop));

const ONE_FILE_SYSTEM: Field = Field::choice("one_file_system", "Stay on one file system")
    .hint("Everything that is mounted below the paths is left out: other disks too.");

const NETWORK_MOUNTS: Field = Field::choice("include_network_mounts", "Include network mounts").hint(
    "NFS, SMB, SSHFS and the like that are mounted below the paths. Without it each is left out, with a note in the snapshot; a path \
     that lies on one itself is backed up anyway.",
);

const UNSTABLE_INODES: Field = Field::choice("unstable_inodes", "Inode numbers are not stable")
    .hint(
        "For SMB, FUSE, FAT and mergerfs, when runs say that they read everything again. A file of the same size and modification \
         time is then only read again when a sample of 32 KiB differs.",
    )
    .described_by("unstable-inodes-warning");

/// The form.
#[component]
pub fn SourceForm(agents: Vec<AgentView>, form: FormState<CreateSource>) -> impl IntoView {
    let typed = form.typed;
    let options = agents.into_iter().map(|agent| {
        let state = if agent.online { "online" } else { "not seen lately" };
        SelectOption::new(agent.id, format!("{} ({}, {state})", agent.hostname, agent.os))
    });
    let options = options.collect::<Vec<_>>();
    view! {
        <TenantForm form submit="Add source" busy="Adding…">
            <FormField field=AGENT options />
            <FormField field=NAME />
            <FormField field=PATHS />
            <FormField field=EXCLUDES />
            <fieldset>
                <legend>"Mounts and inode numbers"</legend>
                <Checkbox field=ONE_FILE_SYSTEM />
                <Checkbox field=NETWORK_MOUNTS />
                <Checkbox field=UNSTABLE_INODES />
                <div class="notice warn" id="unstable-inodes-warning">
                    <Icon sign=Sign::Warning />
                    <p>
                        "Do not tick the last one for encrypted containers, disk images, databases or mail stores: they may change \
                         without a new modification time, and between the places of the sample such a change is not seen."
                    </p>
                </div>
            </fieldset>
            <ScheduleFields typed />
        </TenantForm>
    }
    .into_any()
}
