// Transmit packet steering (net/core/dev.c, spec D.2): which transmit queues a packet may take, by the receive queue that it came
// from, else by the CPU that sends it. Several queues: the flow hash chooses.

export class XpsMaps {
  /** Transmit queues of each receive queue (xps_rxqs) and of each CPU (xps_cpus). */
  private readonly byRxQueue: number[][] = [];
  private readonly byCpu: number[][] = [];

  /** xps_cpus of a transmit queue. */
  setCpus(queue: number, cpus: readonly number[]): void {
    setMap(this.byCpu, queue, cpus);
  }

  /** xps_rxqs of a transmit queue. */
  setRxQueues(queue: number, rxQueues: readonly number[]): void {
    setMap(this.byRxQueue, queue, rxQueues);
  }

  cpusOf(queue: number): number[] {
    return keysWith(this.byCpu, queue);
  }

  rxQueuesOf(queue: number): number[] {
    return keysWith(this.byRxQueue, queue);
  }

  /** Queue for a packet, −1 when no map has one. `rxQueue` −1: none was recorded. */
  pick(rxQueue: number, cpu: number, hash: number): number {
    const queues = (rxQueue >= 0 ? this.byRxQueue[rxQueue] : undefined) ?? this.byCpu[cpu];
    if (queues === undefined || queues.length === 0) return -1;
    if (queues.length === 1) return queues[0];
    return queues[Math.floor(((hash >>> 0) * queues.length) / 0x1_0000_0000)];
  }
}

/** Puts a queue into the lists of `keys` and takes it out of all others; an empty list goes away. */
function setMap(lists: number[][], queue: number, keys: readonly number[]): void {
  const count = Math.max(lists.length, ...keys.map((key) => key + 1));
  for (let key = 0; key < count; key++) {
    const others = (lists[key] ?? []).filter((one) => one !== queue);
    if (keys.includes(key)) others.push(queue);
    others.sort((a, b) => a - b);
    lists[key] = others;
  }
}

function keysWith(lists: readonly (readonly number[])[], queue: number): number[] {
  return lists.flatMap((list, key) => (list.includes(queue) ? [key] : []));
}
