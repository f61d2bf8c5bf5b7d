"""A local server that speaks the OpenAI API, so that editors and tools a person already has write in their voice."""
