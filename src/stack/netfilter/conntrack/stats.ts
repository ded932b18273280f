// The counters of `conntrack -S`, with ctnetlink's names. As in the kernel `insert` counts entries that userspace makes, not those of
// packets, and `found` keys that NAT found taken.

/** The counters of `conntrack -S`. */
export interface ConntrackStats {
  found: number;
  invalid: number;
  insert: number;
  insert_failed: number;
  drop: number;
  early_drop: number;
  error: number;
  search_restart: number;
  clash_resolve: number;
  chaintoolong: number;
}

export function zeroStats(): ConntrackStats {
  return {
    found: 0,
    invalid: 0,
    insert: 0,
    insert_failed: 0,
    drop: 0,
    early_drop: 0,
    error: 0,
    search_restart: 0,
    clash_resolve: 0,
    chaintoolong: 0,
  };
}
