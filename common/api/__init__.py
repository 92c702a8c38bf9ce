"""The public contract: what programs send and get at `/api/certcast/v1/`, its enums, and what its codes mean."""
