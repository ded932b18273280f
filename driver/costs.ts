// What the driver's side of a host charges to its core: modelled CPU cost, in ns on a core of 3.6 GHz.
//
// Numbers come from spec/hardware.md 5.1 and 5.2 (E5-1650v4, 3.6 GHz, ConnectX-5, kernel 4.17/4.18). Where a step has
// no published figure of its own the comment says "assumed". Linux IPv4 forwarding over one route takes 575 ns per
// packet there (5.1); what is here adds up to about 260 ns of it, the stack charges the rest (src/stack/costs.ts).
// No figure here was chosen to make that sum come out: the check is in docs/fidelity.md.

/** Cost of each step, ps. Scale with `hostCosts`. */
export interface HostCosts {
  /** MSI-X message to first instruction of the handler, on an idle core: latency, not work. */
  irqLatencyPs: number;
  /** Hard interrupt entry, handler dispatch and exit. */
  irqEntryPs: number;
  /** One call of a poll function, without packets. */
  napiPollPs: number;
  /** Per received packet: descriptor, buffer, refill. */
  rxDescriptorPs: number;
  /** Per received packet: the handle, its later free included. */
  skbBuildPs: number;
  /** Per received packet: eth_type_trans, GRO look and __netif_receive_skb_core. */
  netifReceivePs: number;
  /** Per packet that RPS hands to another CPU: backlog in and out. */
  backlogPs: number;
  /** Per copied byte (linearising a multi-descriptor packet). */
  copyPerBytePs: number;
  /** Per transmitted packet: queue selection, qdisc bypass, transmit lock. */
  devQueueXmitPs: number;
  /** Additionally, when the packet waits in the qdisc: enqueue and dequeue. */
  qdiscPs: number;
  /** Per transmitted packet: mapping, descriptor, and its later completion. */
  txDescriptorPs: number;
  /** One posted register write (a doorbell). */
  mmioWritePs: number;
  /** One register read: a PCIe round trip that the core waits for. */
  mmioReadPs: number;
  /** Work queue: wake-up of the worker thread, then each item. */
  workWakePs: number;
  workItemPs: number;
}

/** Frequency at which the figures were measured, MHz. */
export const REFERENCE_FREQUENCY_MHZ = 3600;

const REFERENCE_NS: { readonly [K in keyof HostCosts]: number } = {
  // Assumed: delivery of the message and exit from a shallow idle state. (5.1: 89 µs average at 100 pps is a deep
  // idle state on both machines, 20 µs at 1 Mpps is queueing; neither is a cost of the interrupt.)
  irqLatencyPs: 1000,
  // Assumed: entry, EOI and irq_exit, a few hundred instructions.
  irqEntryPs: 400,
  // Assumed: net_rx_action's bookkeeping plus two indirect calls (5.2: 8.5 ns each).
  napiPollPs: 50,
  // 5.1: XDP_DROP, 24.3 Mpps: driver receive with buffer recycling.
  rxDescriptorPs: 41.1,
  // 5.2: build_skb_around 12.7 plus bulk alloc and free of the handle 6.8.
  skbBuildPs: 19.5,
  // Assumed.
  netifReceivePs: 25,
  // 5.2: hop to another CPU (cpumap, drop) 23.7.
  backlogPs: 23.7,
  // Assumed: 16 bytes per ns, a copy from L3.
  copyPerBytePs: 0.0625,
  // Assumed: pick queue, empty pfifo_fast bypassed, one uncontended lock pair.
  devQueueXmitPs: 40,
  // Assumed: two more lock pairs and two cache lines from L2 (5.2: 5.4 ns each).
  qdiscPs: 30,
  // 5.1: XDP_REDIRECT to another port 115.6 less XDP_DROP 41.1; includes the redirect map look-up.
  txDescriptorPs: 74.5,
  // Assumed: an uncached posted write with the store fence in front.
  mmioWritePs: 60,
  // 1.5: the device's own read of host memory takes 413 to 506 ns; the opposite direction crosses the same
  // link and a root complex. 0.5 to 1 µs is usual; assumed 800.
  mmioReadPs: 800,
  // Assumed: scheduler wake-up of a kworker.
  workWakePs: 2000,
  workItemPs: 200,
};

/** The costs on a core of `frequencyMhz`. Register reads and interrupt delivery do not scale with the core. */
export function hostCosts(frequencyMhz = REFERENCE_FREQUENCY_MHZ): HostCosts {
  const scale = (1000 * REFERENCE_FREQUENCY_MHZ) / frequencyMhz;
  const ns = REFERENCE_NS;
  return {
    irqLatencyPs: ns.irqLatencyPs * 1000,
    irqEntryPs: Math.round(ns.irqEntryPs * scale),
    napiPollPs: Math.round(ns.napiPollPs * scale),
    rxDescriptorPs: Math.round(ns.rxDescriptorPs * scale),
    skbBuildPs: Math.round(ns.skbBuildPs * scale),
    netifReceivePs: Math.round(ns.netifReceivePs * scale),
    backlogPs: Math.round(ns.backlogPs * scale),
    copyPerBytePs: ns.copyPerBytePs * scale,
    devQueueXmitPs: Math.round(ns.devQueueXmitPs * scale),
    qdiscPs: Math.round(ns.qdiscPs * scale),
    txDescriptorPs: Math.round(ns.txDescriptorPs * scale),
    mmioWritePs: Math.round(ns.mmioWritePs * scale),
    mmioReadPs: ns.mmioReadPs * 1000,
    workWakePs: Math.round(ns.workWakePs * scale),
    workItemPs: Math.round(ns.workItemPs * scale),
  };
}
