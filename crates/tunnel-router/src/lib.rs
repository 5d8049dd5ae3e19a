//! The dual-mode router: peer to peer first, a tunnel server as fallback, request by request.
