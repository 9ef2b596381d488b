"""Programs of random calls for both servers: what no list of probes has thought of. N of them, from SEED on."""
