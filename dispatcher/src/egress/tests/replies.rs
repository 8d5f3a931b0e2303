//! What comes back: replies, their limits, and what is no reply.
