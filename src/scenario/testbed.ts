// The emulated machine: one clock, one host with its cores and memory, one NIC with its ports, the driver, the network
// stack, and the ledger that counts every packet's fate. Everything that runs a packet is built here, and nothing else.
//
// A driver author gives a driver of their own (`driver`) and may leave the stack out (`stack: false`): then the host has
// no network stack and packets that their driver passes up end there, or wherever their driver sends them.

import { Kernel } from '../../driver/kernel.ts';
import type { NetDevice } from '../../driver/netdev.ts';
import { IFF_PROMISC } from '../../driver/netdev.ts';
import { KERNEL_DROPS } from '../../driver/transmit.ts';
import { probeTwin } from '../../driver/twin/probe.ts';
import { HostMemory } from '../../hw/dma/host-memory.ts';
import type { NicConfig } from '../../hw/models.ts';
import { genericNic } from '../../hw/models.ts';
import { Nic } from '../../hw/nic.ts';
import type { EgressFrame, TraceSink } from '../../hw/observer.ts';
import { Scheduler } from '../../hw/time/scheduler.ts';
import { PS_PER_S } from '../../hw/time/units.ts';
import { PacketLedger } from '../report/ledger.ts';
import { attachNetfilter } from '../stack/netfilter/index.ts';
import type { Netfilter } from '../stack/netfilter/index.ts';
import { NetStack } from '../stack/net-stack.ts';
import { StackDrop } from '../stack/outcome.ts';

/** One port of the machine. */
export interface PortOptions {
  /** Interface name; default p0, p1, ... */
  name?: string;
  /** "02:00:00:00:00:01"; default 02:00:5e:00:00:NN. */
  mac?: string;
  promisc?: boolean;
}

export interface TestbedOptions {
  /** What differs from the generic NIC. */
  device?: Partial<NicConfig>;
  ports?: readonly PortOptions[];
  cores?: number;
  frequencyMhz?: number;
  /** Host memory, bytes; default 64 MiB. */
  memoryBytes?: number;
}
