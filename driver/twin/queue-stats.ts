// Software counters per queue; they outlive the rings, which come and go with ndo_open, MTU and ring-size changes.

export class RxQueueStats {
  /** Packets and bytes passed up. */
  packets = 0;
  bytes = 0;
  /** Frames dropped here for want of a linear buffer. */
  drops = 0;
  /** Frames that the device marked bad. */
  errors = 0;
  /** Buffer requests that failed (alloc_rx_buff_failed). */
  allocFailed = 0;
}

export class TxQueueStats {
  /** Packets and bytes that the device reported done. */
  packets = 0;
  bytes = 0;
  /** Packets dropped by the driver. */
  drops = 0;
  /** Times that xmit found no room (tx_busy), and that a stopped queue was woken (tx_restart_queue). */
  busy = 0;
  restarts = 0;
}
