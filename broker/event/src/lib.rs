//! The event that flows through Volley, and its wire formats.
