"""What strangers send, at random: each reader answers with what it documents, in bounded time and memory."""
