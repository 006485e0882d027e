import { useState, type FormEvent } from 'react';
import { account, problemOf, signIn } from '../lib/account';
import { useStore } from '../lib/store';
import { Heading, Link, Notice } from '../parts/basics';
import { Logo } from '../parts/icons';
import u from '../styles/ui.module.css';
import { t } from '../text';
import s from './sign-in.module.css';

const SENTENCE: Record<string, () => string> = {
	wrong: () => t.signIn.wrong,
	'link-spent': () => t.signIn.linkSpent,
	'link-unknown': () => t.signIn.linkUnknown,
	'too-many': () => t.signIn.tooMany,
	unreachable: () => t.signIn.unreachable,
	ended: () => t.signIn.ended,
	missing: () => t.signIn.missing,
};

export function SignIn() {
	const { problem: earlier } = useStore(account);
	const [problem, setProblem] = useState<string | null>(null);
	const [busy, setBusy] = useState(false);
	const shown = problem ?? earlier;

	const submit = async (event: FormEvent<HTMLFormElement>) => {
		event.preventDefault();
		const form = new FormData(event.currentTarget);
		const name = String(form.get('name') ?? '').trim();
		const password = String(form.get('password') ?? '');
		if (!name || !password) return setProblem('missing');
		setBusy(true);
		setProblem(null);
		try {
			await signIn(name, password);
		} catch (error) {
			setProblem(problemOf(error, 'password'));
			setBusy(false);
		}
	};
	const invalid = problem === 'wrong' || problem === 'missing' || undefined;

	return (
		<main className={s.wrap}>
			<div className={s.card}>
				<div className={s.brand}>
					<Logo />
					{t.product}
				</div>
				<form onSubmit={(event) => void submit(event)} noValidate>
					<Heading title={t.signIn.title}>{t.signIn.title}</Heading>
					{shown && SENTENCE[shown] && (
						<Notice kind={shown === 'ended' ? 'info' : 'danger'} role="alert">
							<p id="sign-in-problem">{SENTENCE[shown]()}</p>
						</Notice>
					)}
					<label className={u.field}>
						{t.signIn.name}
						<input
							className={u.input}
							name="name"
							autoComplete="username"
							autoCapitalize="none"
							spellCheck={false}
							aria-invalid={invalid}
							aria-describedby={invalid && 'sign-in-problem'}
						/>
					</label>
					<label className={u.field}>
						{t.signIn.password}
						<input
							className={u.input}
							name="password"
							type="password"
							autoComplete="current-password"
							aria-invalid={invalid}
							aria-describedby={invalid && 'sign-in-problem'}
						/>
					</label>
					<button type="submit" className={`${u.button} ${u.primary}`} disabled={busy}>
						{busy ? t.signIn.busy : t.signIn.submit}
					</button>
				</form>
				<p className={s.hint}>{t.signIn.hint}</p>
				<p className={s.hint}>
					<Link to="/network">{t.signIn.network}</Link>
				</p>
			</div>
		</main>
	);
}
