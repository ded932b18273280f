// Public surface of flowtwin/stack: the network stack above the drivers and netfilter on top of it.

export { NetStack } from './net-stack.ts';
export { attachNetfilter } from './netfilter/index.ts';
export type { Netfilter } from './netfilter/index.ts';
export * from './netfilter/hooks.ts';
export { PATH_CLASSIC, PATH_FAST, STACK_DROPS, StackDrop } from './outcome.ts';
export type { StackObserver } from './outcome.ts';
export { formatAddress, parseAddress } from './ip/address.ts';
export { FlowKey } from './openvswitch/flow-key.ts';
export { extractFlowKey } from './openvswitch/key-extract.ts';
export { attachDatapaths } from './openvswitch/attach.ts';
export type { Datapath } from './openvswitch/datapath.ts';
export type { Upcall } from './openvswitch/upcall.ts';
export { readAttrs } from './openvswitch/nlattr.ts';
export { NO_PORT_NAMES, parseOdpKey } from './openvswitch/odp-key.ts';
export { parseOdpActions } from './openvswitch/odp-actions-parse.ts';
export { formatFlowKey } from './openvswitch/flow-key-text.ts';
export { TunDriver } from './tun/tun-driver.ts';
export { TunDevice } from './tun/tun-device.ts';
export type { IoctlArgument } from './tun/ioctl.ts';
export type { TunSteeringOps } from './tun/steering.ts';
export { TUN_IOCTLS } from './tun/uapi.ts';
export { makeIfreq } from './tun/tun-attach.ts';
export { BpfCode, parseBpfText } from './tun/bpf/insn.ts';
export { symmetricHash } from './tun/flow-hash.ts';
