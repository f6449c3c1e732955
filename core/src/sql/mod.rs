//! The toolkit for destinations that speak SQL.
