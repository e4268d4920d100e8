from .certificate import Certificate as Certificate
from .certificate import certify as certify
from .code_bounds import dimension_bound as dimension_bound
from .verified import Verified as Verified
