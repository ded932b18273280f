// Public surface of flowtwin/driver: what the author of a driver needs, and the reference driver.

export * from './alloc.ts';
export * from './costs.ts';
export * from './errno.ts';
export * from './ether.ts';
export * from './flow-block.ts';
export * from './flow-offload.ts';
export * from './foreign-host.ts';
export * from './flow-rule.ts';
export * from './host-core.ts';
export * from './kernel.ts';
export * from './mmio.ts';
export * from './napi.ts';
export * from './netdev.ts';
export * from './skb.ts';
export * from './transmit.ts';
export * from './workqueue.ts';
export { DevState } from './registry.ts';
export { describeActions, describeMatch, describeRequest } from './sim/describe.ts';
export { NETDEVSIM_TC_OPS } from './sim/netdevsim.ts';
export { offsimOps } from './sim/offsim.ts';
export type { OffsimCall, OffsimLog } from './sim/offsim.ts';
export { DEFAULT_RSS_KEY, TwinAdapter, twinAdapter } from './twin/adapter.ts';
export type { TwinOptions } from './twin/adapter.ts';
export { twinProbe, twinReinit, twinRemove } from './twin/probe.ts';
export type { ProbeResult } from './twin/probe.ts';
