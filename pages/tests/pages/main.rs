//! Tests of the pages: every screen is rendered from sample data, and its HTML is read.

mod html;
mod rendered;
mod samples;
mod sources;
mod words;
