//! What is trained.
