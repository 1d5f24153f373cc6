//! The local catalog by its contract; tables and changes before they are anywhere; and what the AWS Glue Data Catalog is asked and
//! answers, by what goes over the wire. Against emulators it is tried in `tests/it/data_catalog.rs`.

mod glue;
mod local;
mod table;
