// You, the device and what lies between, with the way in use drawn thick. It says the same as the sentence above it.
import type { ReactNode } from 'react';
import type { Route } from '../lib/api';
import { visible } from '../lib/hostile';
import { t } from '../text';
import s from './route-badge.module.css';

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

function Node({ x, y, name, sub, used, shape }: { x: number; y: number; name: string; sub?: string; used: boolean; shape: keyof typeof SHAPES }) {
	return (
		<g transform={`translate(${x} ${y})`}>
			<g
				fill="none"
				stroke={used ? 'var(--text)' : 'var(--text-3)'}
				strokeWidth="1.6"
				strokeLinejoin="round"
				strokeLinecap="round"
				opacity={used ? 1 : 0.6}
			>
				<rect x="-21" y="-21" width="42" height="42" rx="10" fill="var(--raised)" stroke={used ? 'var(--line-strong)' : 'var(--line)'} strokeWidth="1" />
				{SHAPES[shape]}
			</g>
			<text y="38" textAnchor="middle" fontSize="11.5" fontWeight="600" fill={used ? 'var(--text)' : 'var(--text-3)'}>
				{name}
			</text>
			{sub && (
				<text y="52" textAnchor="middle" fontSize="10.5" fill="var(--text-3)">
					{sub}
				</text>
			)}
		</g>
	);
}

const short = (text: string, most: number) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

export function Diagram({ route, name }: { route: Route; name: string }) {
	const { method, pair } = route;
	const used = { fill: 'none', stroke: `var(--${method})`, strokeWidth: 3, strokeLinecap: 'round' as const };
	const unused = { fill: 'none', stroke: 'var(--line-strong)', strokeWidth: 1.4, strokeDasharray: '3 5' };
	const device = short(visible(name), 14);
	const mine = short(visible(pair.local.address), 18);
	const theirs = short(visible(pair.remote.address), 18);
	if (method === 'local')
		return (
			<svg className={s.diagram} viewBox="0 0 468 156" direction="ltr" aria-hidden="true">
				<rect x="14" y="12" width="286" height="132" rx="12" fill="none" stroke="var(--local)" strokeWidth="1.4" strokeOpacity=".55" />
				<text x="157" y="133" textAnchor="middle" fontSize="10.5" fontWeight="600" fill="var(--local)">
					{t.route.network}
				</text>
				<rect x="368" y="12" width="88" height="132" rx="12" fill="var(--sunken)" />
				<text x="412" y="133" textAnchor="middle" fontSize="10.5" fontWeight="600" fill="var(--text-3)">
					{t.route.internet}
				</text>
				<path d="M94 60H220" {...used} />
				<path d="M268 60H310M358 60H388" {...unused} />
				<Node x={70} y={60} name={t.route.you} sub={mine} used shape="computer" />
				<Node x={244} y={60} name={device} sub={theirs} used shape="computer" />
				<Node x={334} y={60} name={t.route.router} sub={t.route.unused} used={false} shape="router" />
				<Node x={412} y={60} name={t.route.relay} sub={t.route.unused} used={false} shape="relay" />
			</svg>
		);
	const y = 120;
	return (
		<svg className={s.diagram} viewBox="0 0 468 190" direction="ltr" aria-hidden="true">
			<rect x="192" y="14" width="84" height="162" rx="12" fill="var(--sunken)" />
			<text x="234" y="168" textAnchor="middle" fontSize="10.5" fontWeight="600" fill="var(--text-3)">
				{t.route.internet}
			</text>
			{method === 'punched' ? (
				<>
					<path d={`M68 ${y}H124M172 ${y}H296M344 ${y}H400`} {...used} />
					<path d={`M152 ${y - 24}C160 60 190 42 210 42M316 ${y - 24}C308 60 278 42 258 42`} {...unused} />
				</>
			) : (
				<>
					<path d={`M68 ${y}H124M150 ${y - 24}C156 62 178 42 208 42M260 42C290 42 312 62 318 ${y - 24}M344 ${y}H400`} {...used} />
					<path d={`M172 ${y}H296`} {...unused} />
					<g transform={`translate(272 ${y})`}>
						<circle r="9" fill="var(--danger-soft)" stroke="var(--danger)" strokeWidth="1.4" />
						<path d="M-3.4-3.4 3.4 3.4M3.4-3.4-3.4 3.4" stroke="var(--danger)" strokeWidth="1.8" strokeLinecap="round" />
					</g>
				</>
			)}
			<Node x={44} y={y} name={t.route.you} sub={method === 'punched' ? mine : undefined} used shape="computer" />
			<Node x={148} y={y} name={t.route.router} used shape="router" />
			<Node x={234} y={42} name={t.route.relay} used={method === 'relayed'} shape="relay" />
			<Node x={320} y={y} name={t.route.router} used shape="router" />
			<Node x={424} y={y} name={device} sub={method === 'punched' ? theirs : undefined} used shape="computer" />
		</svg>
	);
}
