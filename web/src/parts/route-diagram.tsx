// You, the device and what lies between: the way in use drawn thick, and a cross where the better one is blocked. It says
// the same as the sentence above it, so it is hidden from screen readers. It is mirrored where one reads from right to left.
import type { ReactNode } from 'react';
import type { Route, Verdict } from '../lib/api';
import { visible } from '../lib/hostile';
import { t } from '../text';
import s from './route-why.module.css';

const WIDTH = 468;
const SHAPES: Record<'computer' | 'router' | 'relay', ReactNode> = {
	computer: (
		<>
			<rect x="-10" y="-9" width="20" height="13" rx="2" />
			<path d="M-5 9H5M0 4v5" />
		</>
	),
	router: (
		<>
			<rect x="-11" y="-1" width="22" height="9" rx="2" />
			<path d="M-6-1v-7M6-1v-7M-6 3.6h.1M-1 3.6h7" />
		</>
	),
	relay: (
		<>
			<rect x="-10" y="-9" width="20" height="7.5" rx="2" />
			<rect x="-10" y="1.5" width="20" height="7.5" rx="2" />
			<path d="M-6-5.2h.1M-6 5.3h.1" />
		</>
	),
};

/** From the left edge, or from the right one. */
const at = (x: number): number => (t.direction === 'rtl' ? WIDTH - x : x);

interface NodeProps {
	x: number;
	y: number;
	name: string;
	sub?: string;
	used: boolean;
	shape: keyof typeof SHAPES;
}

function Node({ x, y, name, sub, used, shape }: NodeProps) {
	return (
		<g transform={`translate(${at(x)} ${y})`}>
			<g fill="none" stroke={used ? 'var(--text)' : 'var(--text-3)'} strokeWidth="1.6" strokeLinejoin="round" strokeLinecap="round">
				<rect x="-21" y="-21" width="42" height="42" rx="10" fill="var(--raised)" stroke={used ? 'var(--line-strong)' : 'var(--line)'} strokeWidth="1" />
				<g opacity={used ? 1 : 0.6}>{SHAPES[shape]}</g>
			</g>
			<text y="37" textAnchor="middle" fontSize="11.5" fontWeight="600" fill={used ? 'var(--text)' : 'var(--text-3)'}>
				{name}
			</text>
			{sub && (
				<text y="51" textAnchor="middle" fontSize="10.5" fill="var(--text-3)">
					{sub}
				</text>
			)}
		</g>
	);
}

function Cross({ x, y }: { x: number; y: number }) {
	return (
		<g transform={`translate(${at(x)} ${y})`}>
			<circle r="9" fill="var(--danger-soft)" stroke="var(--danger)" strokeWidth="1.4" />
			<path d="M-3.4-3.4 3.4 3.4M3.4-3.4-3.4 3.4" stroke="var(--danger)" strokeWidth="1.8" strokeLinecap="round" />
		</g>
	);
}

function Label({ x, y, danger, children }: { x: number; y: number; danger?: boolean; children: string }) {
	return (
		<text x={at(x)} y={y} textAnchor="middle" fontSize="10.5" fontWeight="600" fill={danger ? 'var(--danger)' : 'var(--text-3)'}>
			{children}
		</text>
	);
}

/** Lines are drawn from left to right and mirrored as a whole. */
function Lines({ method, used, unused }: { method: Route['method']; used?: string; unused?: string }) {
	return (
		<g transform={t.direction === 'rtl' ? `translate(${WIDTH} 0) scale(-1 1)` : undefined} fill="none">
			{unused && <path d={unused} stroke="var(--line-strong)" strokeWidth="1.4" strokeDasharray="3 5" />}
			{used && <path d={used} stroke={`var(--${method})`} strokeWidth="3" strokeLinecap="round" />}
		</g>
	);
}

function Box({ x, y, width, height, children }: { x: number; y: number; width: number; height: number; children: string }) {
	const middle = x + width / 2;
	return (
		<>
			<rect x={t.direction === 'rtl' ? WIDTH - x - width : x} y={y} width={width} height={height} rx="12" fill="var(--sunken)" />
			<Label x={middle} y={y + height - 9}>
				{children}
			</Label>
		</>
	);
}

const short = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export interface DiagramProps {
	route: Route;
	verdict: Pick<Verdict, 'cause' | 'side'> | null;
	name: string;
}

export function Diagram({ route, verdict, name }: DiagramProps) {
	const device = short(visible(name), 14);
	if (route.method === 'local') return <Local route={route} device={device} />;
	if (verdict?.cause === 'isolated') return <OneSite route={route} device={device} />;
	return <Across route={route} verdict={verdict} device={device} />;
}

function Frame({ height, children }: { height: number; children: ReactNode }) {
	return (
		<svg className={s.diagram} viewBox={`0 0 ${WIDTH} ${height}`} aria-hidden="true">
			{children}
		</svg>
	);
}

function Local({ route, device }: { route: Route; device: string }) {
	const mine = short(visible(route.pair?.local.address ?? ''), 18);
	const theirs = short(visible(route.pair?.remote.address ?? ''), 18);
	return (
		<Frame height={156}>
			<rect x={t.direction === 'rtl' ? WIDTH - 300 : 14} y="12" width="286" height="132" rx="12" fill="none" stroke="var(--local)" strokeWidth="1.4" strokeOpacity=".55" />
			<text x={at(157)} y="133" textAnchor="middle" fontSize="10.5" fontWeight="600" fill="var(--local)">
				{t.route.network}
			</text>
			<Box x={368} y={12} width={88} height={132}>
				{t.route.internet}
			</Box>
			<Lines method="local" used="M94 60H220" unused="M268 60H310M358 60H388" />
			<Node x={70} y={60} name={t.route.you} sub={mine} used shape="computer" />
			<Node x={244} y={60} name={device} sub={theirs} used shape="computer" />
			<Node x={334} y={60} name={t.route.router} sub={t.route.unused} used={false} shape="router" />
			<Node x={412} y={60} name={t.route.relay} sub={t.route.unused} used={false} shape="relay" />
		</Frame>
	);
}

/** Both at one site that keeps its computers apart: what goes between them leaves it and comes back. */
function OneSite({ route, device }: { route: Route; device: string }) {
	const { method } = route;
	const relayed = method === 'relayed';
	const out = 'M84 60C120 12 284 12 324 60M254 84H310';
	const further = 'M358 84H388';
	return (
		<Frame height={172}>
			<Box x={14} y={12} width={344} height={148}>
				{t.route.oneSite}
			</Box>
			<Lines
				method={method}
				used={relayed ? `${out}${further}` : method === 'none' ? undefined : out}
				unused={`M94 84H220${relayed ? '' : further}${method === 'none' ? out : ''}`}
			/>
			<Label x={157} y={72} danger>
				{t.verdict.blocked.isolated!}
			</Label>
			<Cross x={157} y={84} />
			<Node x={70} y={84} name={t.route.you} used shape="computer" />
			<Node x={244} y={84} name={device} used shape="computer" />
			<Node x={334} y={84} name={t.route.router} used={method !== 'none'} shape="router" />
			<Node x={412} y={84} name={t.route.relay} sub={relayed ? over(route) : t.route.unused} used={relayed} shape="relay" />
		</Frame>
	);
}

const over = (route: Route): string => t.route.overTransport[route.transport] ?? '';

/** Where the better way ends, on the line between the two routers: at whose side, or between them. */
function crosses(cause: string, side: Verdict['side']): number[] {
	if (cause === 'peer-silent') return [side === 'console' ? 96 : 372];
	if (cause === 'nat-symmetric' || cause === 'no-common-family' || cause === 'policy') return [234];
	return { console: [188], device: [280], both: [188, 280], none: [234] }[side];
}

function Across({ route, verdict, device }: { route: Route; verdict: DiagramProps['verdict']; device: string }) {
	const { method } = route;
	const y = 122;
	const direct = `M172 ${y}H296`;
	const arcs = `M152 ${y - 24}C158 62 180 42 208 42M260 42C288 42 310 62 316 ${y - 24}`;
	const ends = `M68 ${y}H124M344 ${y}H400`;
	const cause = verdict && verdict.cause !== 'direct' && verdict.cause !== 'same-network' ? verdict.cause : null;
	const label = cause !== null && Object.hasOwn(t.verdict.blocked, cause) ? t.verdict.blocked[cause] : undefined;
	const marks = method === 'punched' || (cause === null && method === 'none') ? [] : cause === null ? [234] : crosses(cause, verdict!.side);
	const atRelay = cause === 'relay-unreachable' || cause === 'relay-refused';
	const wall = (side: 'console' | 'device') =>
		cause === 'proxy-only' && (verdict!.side === side || verdict!.side === 'both')
			? t.route.proxy
			: label && method !== 'punched' && (verdict!.side === side || verdict!.side === 'both')
				? t.route.firewall
				: t.route.router;
	const mine = method === 'punched' ? short(visible(route.pair?.local.address ?? ''), 18) : undefined;
	const theirs = method === 'punched' ? short(visible(route.pair?.remote.address ?? ''), 18) : undefined;
	return (
		<Frame height={186}>
			<Box x={188} y={12} width={92} height={164}>
				{t.route.internet}
			</Box>
			<Lines
				method={method}
				used={method === 'punched' ? ends + direct : method === 'relayed' ? ends + arcs : undefined}
				unused={method === 'punched' ? arcs : method === 'relayed' ? direct : ends + arcs + direct}
			/>
			{label && marks.length > 0 && !atRelay && (
				<Label x={234} y={y - 15} danger>
					{label}
				</Label>
			)}
			{marks.map((x) => (
				<Cross key={x} x={x} y={y} />
			))}
			{method === 'none' && atRelay && <Cross x={verdict!.side === 'device' ? 300 : 168} y={62} />}
			<Node x={44} y={y} name={t.route.you} sub={mine} used shape="computer" />
			<Node x={148} y={y} name={wall('console')} used={method !== 'none'} shape="router" />
			<Node x={234} y={38} name={t.route.relay} sub={method === 'relayed' ? over(route) : atRelay ? label : undefined} used={method === 'relayed'} shape="relay" />
			<Node x={320} y={y} name={wall('device')} used={method !== 'none'} shape="router" />
			<Node x={424} y={y} name={device} sub={theirs} used shape="computer" />
		</Frame>
	);
}
