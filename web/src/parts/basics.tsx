// Small parts that every page uses.
import { Check, CircleAlert, CircleCheck, Copy, Info } from 'lucide-react';
import { useEffect, useRef, useState, type AnchorHTMLAttributes, type MouseEvent, type ReactNode } from 'react';
import { visible } from '../lib/hostile';
import { navigate } from '../lib/router';
import s from '../styles/ui.module.css';
import { t } from '../text';

/** Text that a device or a person reported: isolated in its direction, controls made visible. */
export function Name({ text, none = t.unnamed }: { text: string; none?: string }) {
	return <bdi>{text === '' ? none : visible(text)}</bdi>;
}

export function Link({ to, onClick, ...rest }: { to: string } & AnchorHTMLAttributes<HTMLAnchorElement>) {
	const click = (event: MouseEvent<HTMLAnchorElement>) => {
		onClick?.(event);
		const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
		if (event.defaultPrevented || !plain) return;
		event.preventDefault();
		navigate(to);
	};
	return <a href={to} onClick={click} {...rest} />;
}

/** The heading of a page. It takes the focus when the page was reached by a link, so that screen readers say it. */
export function Heading({ children, title, className }: { children: ReactNode; title: string; className?: string }) {
	const ref = useRef<HTMLHeadingElement>(null);
	useEffect(() => {
		document.title = t.title(visible(title));
	}, [title]);
	useEffect(() => {
		if (arrived) ref.current?.focus({ preventScroll: true });
		arrived = true;
	}, []);
	return (
		<h1 ref={ref} tabIndex={-1} className={className}>
			{children}
		</h1>
	);
}
let arrived = false;

export function Notice({ kind, children, role }: { kind: 'danger' | 'warn' | 'good' | 'info'; children: ReactNode; role?: 'alert' | 'status' }) {
	const Icon = kind === 'good' ? CircleCheck : kind === 'info' ? Info : CircleAlert;
	return (
		<div className={s.notice} data-kind={kind} role={role}>
			<Icon size={16} strokeWidth={1.9} aria-hidden />
			<div>{children}</div>
		</div>
	);
}

/** @param spoken the name for screen readers, where several stand on a page; it begins with the visible word */
export function CopyButton({ text, label, spoken }: { text: string; label?: string; spoken?: string }) {
	const [done, setDone] = useState(false);
	useEffect(() => {
		if (!done) return;
		const timer = setTimeout(() => setDone(false), 2000);
		return () => clearTimeout(timer);
	}, [done]);
	const Icon = done ? Check : Copy;
	return (
		<button type="button" className={s.button} onClick={() => void navigator.clipboard?.writeText(text).then(() => setDone(true), () => {})}>
			<Icon size={14} strokeWidth={1.9} aria-hidden />
			<span aria-live="polite">
				{done ? t.copied : (label ?? t.copy)}
				{spoken && !done && <span className="vh">{spoken.slice(t.copy.length)}</span>}
			</span>
		</button>
	);
}

/** One choice of a few, as native radio buttons: one tab stop, arrows inside. */
export function Segments<T extends string>({
	label,
	value,
	options,
	onChange,
}: {
	label: string;
	value: T;
	options: readonly (readonly [T, string])[];
	onChange: (value: T) => void;
}) {
	return (
		<div className={s.segments} role="radiogroup" aria-label={label}>
			{options.map(([id, text]) => (
				<label key={id}>
					<input type="radio" name={label} value={id} checked={id === value} onChange={() => onChange(id)} />
					{text}
				</label>
			))}
		</div>
	);
}

/** The time as a machine-readable element; the words stay the catalogue's. */
export function Time({ at, children }: { at: number; children: ReactNode }) {
	return <time dateTime={Number.isFinite(at) && Math.abs(at) < 8.64e15 ? new Date(at).toISOString() : undefined}>{children}</time>;
}
