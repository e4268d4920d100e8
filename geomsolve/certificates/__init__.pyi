from .certificate import Certificate as Certificate
from .certificate import certify as certify
from .code_bounds import dimension_bound as dimension_bound
from .logits import LogitCertificate as LogitCertificate
from .logits import certify_logits as certify_logits
from .verified import Verified as Verified
