import { t } from '../text';
import { ApiError } from './api';

/** The hub's own sentence, or what can be said without it. */
export function problemText(error: unknown): string {
	if (error instanceof ApiError && error.message) return error.message;
	return error instanceof ApiError && error.status === 0 ? t.problem.unreachable : t.problem.unexpected;
}
